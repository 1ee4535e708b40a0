"""The catalogue of 187 behaviours that the clauses were drawn from, and what was left out of it."""

from __future__ import annotations

LEFT_OUT: dict[int, str] = {
    9: "decided otherwise: on a gateway top_p and presence_penalty are sent, and the proxy's drop_params strips them",
    21: "the backend interface has no extra_body",
    31: "the backend interface takes a key, not a callable",
    34: "about writing cassettes: judged when one is saved, and by the tests of onpaper.cassettes",
    35: "about writing cassettes: judged when one is saved, and by the tests of onpaper.cassettes",
    81: "decided otherwise: <think> inside the content is text unless a backend separates it; neither is judged",
    152: "about the suite: every negative test binds status and words (errors/words-kept, errors/status-kept)",
    172: "which models want no temperature is the application's choice of model, not the wire's",
    173: "about the report: the declared defaults stand in the body that body/whitelist shows",
    174: "make_backend belongs to one project; tested for the reference backends, not for other factories",
    177: "get_backend and set_backend belong to one project; tested for the reference backends",
    178: "proxy variables are unset while a backend is driven, so that nothing leaves the loopback",
    179: "about the suite: every declared backend names a contract, and an unknown one is an error",
    180: "about the suite: tests/test_every_clause_can_fail.py",
    181: "about the suite: known failures are strict in all four combinations",
    182: "about the suite: a run that judged nothing is red",
    183: "about the suite: `onpaper cassettes verify`",
    184: "about the suite: a cassette holds one case",
    185: "about the cassette format: tested by onpaper.cassettes",
    187: "about the gateway: what it could not play stands in the journal and fails the test",
}
