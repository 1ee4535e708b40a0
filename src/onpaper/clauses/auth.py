"""The key: where it goes, and where it must never be."""

from __future__ import annotations

import asyncio
import tempfile
import traceback
from pathlib import Path
from typing import Any

from onpaper.clauses import INTERFACE, Case, View, clause
from onpaper.clauses.conditions import needs_key
from onpaper.clauses.operations import REQUEST_CASES
from onpaper.clauses.secrets import not_shown
from onpaper.contract import Contract
from onpaper.driving.acts import completing, listing, opened, streaming
from onpaper.driving.guard import guarded
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Hung, Run, chain
from onpaper.driving.stage import HELLO, KEY, Setup, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Exchange, Request, header_values
from onpaper.script import Script

ILLEGAL = "https://github.com/openai/openai-python/issues/961"
CALLS = (Case("stream"), Case("complete"), Case("list-models"))


async def sends_key(stage: Stage) -> None:
    """The same, and raise NotApplicable unless an ordinary stream carries the key."""
    needs_key(stage)
    run = await stage.stream()
    if not any(carries(credentials(one.request, View(stage.contract)), KEY, stage.contract) for one in run.exchanges):
        raise NotApplicable("an ordinary stream does not carry the key: see auth/header")


async def _call(stage: Stage, name: str, setup: Setup, play: Play = HELLO) -> Run:
    if name == "stream":
        return await stage.stream(play, setup)
    if name == "complete":
        return await stage.complete(play, setup)
    stage.needs("list_models")
    return await stage.call("list_models", play, setup)


Credentials = list[tuple[str, str]]


def credentials(request: Request, view: View) -> Credentials:
    """Every header, with its value, that gives the key: those of the contract, and Authorization."""
    names = _key_headers(view.contract)
    return [(name, value) for name in sorted(names) for value in header_values(request.headers, name)]


def _key_headers(contract: Contract) -> set[str]:
    return {"authorization", *(name for name, _ in contract.auth_ways)}


def shown(given: Credentials) -> str:
    """The values of credentials, as far as a message may tell them."""
    return ", ".join(repr(value.replace(KEY, "<key>")) for _, value in given)


@clause(
    "auth/header",
    kind="request",
    cases=REQUEST_CASES,
    covers=(23, 37),
    source=INTERFACE,
    why="A copy of the client sent no key at all, and every test passed because nothing looked.",
)
def exact_header(exchange: Exchange, view: View) -> None:
    """With a key, every request carries it exactly once, in the provider's header and form, the model list too.

    Set the header on the client, not on one call.
    """
    if not view.key_known or view.key is None:
        raise NotApplicable("this client has no key")
    if exchange.redacted:
        raise NotApplicable("the headers of a recording are redacted")
    given = credentials(exchange.request, view)
    if not given:
        raise Broken(f"{exchange.request.method} {exchange.request.path} carries no key")
    if len(given) > 1:
        raise Broken(f"{exchange.request.method} {exchange.request.path} carries {len(given)} keys")
    if not carries(given, view.key, view.contract):
        name, value = given[0]
        found = value.replace(view.key, "<key>").replace(KEY, "<another key>")
        wanted = " or ".join(f"{header}: {form.replace('{key}', '<key>')}" for header, form in view.contract.auth_ways)
        raise Broken(f"the key went out as {f'{name}: {found}'!r}; the provider wants {wanted!r}")


def carries(given: Credentials, key: str, contract: Contract) -> bool:
    """Whether the credentials of a request are this key, once, in a header and in the form that the provider takes there."""
    if len(given) != 1:
        return False
    name, value = given[0]
    return any(name == header and _same(value, form.replace("{key}", key)) for header, form in contract.auth_ways)


def _same(found: str, wanted: str) -> bool:
    """The scheme's name is case-insensitive (RFC 9110 §11.1), the credential is not."""
    scheme, blank, rest = wanted.partition(" ")
    given, _, given_rest = found.partition(" ")
    return given.lower() == scheme.lower() and given_rest == rest if blank else found == wanted


@clause(
    "auth/not-in-url-or-body",
    kind="request",
    cases=REQUEST_CASES,
    covers=(28,),
    source="https://github.com/graniet/llm/issues/115",
    why="URLs and bodies are logged by every proxy on the way.",
)
def not_in_url_or_body(exchange: Exchange, view: View) -> None:
    """The key is never in the URL, in the body, or in any other header."""
    if not view.key_known or view.key is None:
        raise NotApplicable("this client has no key")
    if view.key in exchange.request.target:
        raise Broken(f"the key is in the URL: {exchange.request.target.replace(view.key, '<key>')}")
    if view.key.encode() in exchange.request.body:
        raise Broken("the key is in the body", exchange.request.body.replace(view.key.encode(), b"<key>"))
    named = _key_headers(view.contract)
    for name, value in exchange.request.headers:
        if view.key in value and name.lower() not in named:
            raise Broken(f"the key is in the header {name}")


@clause("auth/absent-without-key", cases=CALLS, covers=(24,), source=INTERFACE,
        why="A local server that is handed an empty or made-up key may refuse it.")  # fmt: skip
async def absent_without_key(stage: Stage, case: Case) -> None:
    """Without a key there is no Authorization header, and where the provider wants none the call works.

    Add the header only when there is a key.
    """
    run = await _call(stage, case.id, Setup(key=None))
    _no_header(stage, run)
    if not stage.contract.get("auth.required") and run.phase != "construct":
        run.must_not_raise()


@clause("auth/blank-key", cases=tuple(Case(f"{c.id}-{n}", (c.id, v)) for c in CALLS for n, v in (("empty", ""), ("blank", "  \t"))),
        covers=(25,), source=ILLEGAL, why="`Bearer ` with nothing behind it is an illegal header value that kills the request.")  # fmt: skip
async def blank_key(stage: Stage, case: Case) -> None:
    """A key that is empty or blank counts as no key: no header, no crash."""
    needs_key(stage)
    name, key = case.value
    run = await _call(stage, name, Setup(key=key))
    refuses = run.phase == "construct" or (run.refused and not any("illegal header" in str(one).lower() for one in chain(run.error)))
    if stage.contract.get("auth.required") and refuses:
        raise NotApplicable("the backend refuses to work without a key, as the provider does")
    _no_header(stage, run)
    run.must_not_raise()


def _no_header(stage: Stage, run: Run) -> None:
    for exchange in run.exchanges:
        given = credentials(exchange.request, View(stage.contract))
        if given:
            raise Broken(f"{exchange.request.method} {exchange.request.path} carries {shown(given)} though there is no key")
    if not run.exchanges and run.error is None and run.operation != "list_models()":
        raise Broken(f"{run.operation} sent no request")


@clause("auth/key-is-stripped", cases=(Case("newline", KEY + "\n"), Case("spaces", f"  {KEY} ")), covers=(26,), source=ILLEGAL,
        why="Keys are pasted with the line end that was copied along.")  # fmt: skip
async def stripped(stage: Stage, case: Case) -> None:
    """A key with blanks or a line end around it is stripped, or refused without being shown."""
    await sends_key(stage)
    run = await stage.stream(setup=Setup(key=case.value))
    if run.error is not None:
        not_shown(run, KEY)
        if run.exchanges:
            run.must_not_raise()
        return
    given = credentials(run.exchanges[0].request, View(stage.contract)) if run.exchanges else []
    if not carries(given, KEY, stage.contract):
        raise Broken(f"the key went out as {shown(given) or 'nothing'}")


@clause("auth/non-ascii-key", level="should", policy=True, covers=(26,), source="https://www.rfc-editor.org/rfc/rfc9110#section-5.5", why="A dash that an editor made longer is a UnicodeEncodeError, which carries the whole header.")
async def non_ascii(stage: Stage, case: Case) -> None:
    """A key with a character that is not ASCII goes out, or is an error that does not show the key.

    Look at the key when the backend is made.
    """
    needs_key(stage)
    run = await stage.stream(setup=Setup(key="sk-onpaper\u2013Canary7Qd2fXw9"))
    run.notes["judged"] = True  # how such a key is written in a header is left open
    if isinstance(run.error, Hung):
        run.must_not_raise()
    if run.error is None and not any("Canary7Qd2fXw9" in value for one in run.exchanges for _, value in one.request.headers):
        raise Broken("a key with a character that is not ASCII was neither refused nor sent")
    if run.error is not None and "Canary7Qd2fXw9" in "".join(traceback.format_exception(run.error)):
        raise Broken(f"{type(run.error).__name__} says the key")  # its repr does in every UnicodeEncodeError


@clause("auth/control-characters", cases=(Case("newline-inside", "sk-onpaper\nCanary7Qd2fXw9"), Case("escape-inside", "sk-onpaper\x1bCanary7Qd2fXw9")),
        covers=(26,), source=ILLEGAL, why="HTTP libraries refuse such a header value and quote it, key and all, in their message.")  # fmt: skip
async def control_characters(stage: Stage, case: Case) -> None:
    """A key with a control character inside is an error that does not show the key, and nothing is sent with it."""
    needs_key(stage)
    run = await stage.stream(setup=Setup(key=case.value))
    for exchange in run.exchanges:
        if any("Canary7Qd2fXw9" in value for _, value in credentials(exchange.request, View(stage.contract))):
            raise Broken("a key with a control character inside was sent")
    if isinstance(run.error, Hung):
        run.must_not_raise()
    if run.error is None:
        raise Broken("a key with a control character inside was neither refused nor sent")
    not_shown(run, "Canary7Qd2fXw9")


REDIRECTS = tuple(Case(f"{method}-{status}", (method, status)) for method in ("stream", "complete") for status in (301, 302, 307, 308))


async def _redirected(stage: Stage, method: str, status: int) -> tuple[Run, list[Exchange]]:
    """Drive a call that the gateway redirects to another port of the loopback; gives what arrived there."""
    hello = answer_of(Play("hello"), stage.contract)
    path = stage.contract.models_path if method == "list-models" else stage.contract.chat_path
    act = {"stream": streaming(), "complete": completing(), "list-models": listing}[method]
    with stage.hall.gateway(hello) as other:
        script = Script(status, (("location", f"http://localhost:{other.port}{path}"),), transfer="length")
        run = await stage.drive(f"{method.replace('-', '_')}()", act, lambda _: script)
        return run, list(other.journal)


@clause("auth/redirect", cases=(*REDIRECTS, *(Case(f"list-models-{status}", ("list-models", status)) for status in (302, 307))), covers=(29,), source="https://github.com/openai/openai-python/issues/3516",
        why="A redirect to another origin hands the key to whoever set it.")  # fmt: skip
async def redirect(stage: Stage, case: Case) -> None:
    """The key never follows a redirect to another host, scheme or port."""
    needs_key(stage)
    if case.value[0] == "list-models":
        stage.needs("list_models")
    _, arrived = await _redirected(stage, *case.value)
    for exchange in arrived:
        for name, value in exchange.request.headers:
            if KEY in value:
                raise Broken(f"after a redirect to another origin the header {name} carries the key")


@clause("auth/redirect-method", cases=REDIRECTS, covers=(30,), source="https://github.com/rmusser01/tldw_chatbook/pull/1925",
        why="A POST that turns into a GET loses the prompt and gets something else back.")  # fmt: skip
async def redirect_method(stage: Stage, case: Case) -> None:
    """A redirected POST never becomes a GET, and is never taken for an answer.

    Do not follow redirects, or follow only 307 and 308 with the same method and body.
    """
    run, arrived = await _redirected(stage, *case.value)
    turned = [one for one in arrived if one.request.method != "POST"]
    if turned:
        raise Broken(f"after a {case.value[1]} the POST became {turned[0].request.method} {turned[0].request.target}")
    if not arrived:
        run.must_raise(f"the server answered {case.value[1]}")


@clause("auth/explicit-key-wins", cases=(Case("netrc"), Case("userinfo")), covers=(32,),
        source="https://github.com/encode/httpx/issues/568", why="~/.netrc and a user name in the URL replace the Authorization header in many HTTP libraries.")  # fmt: skip
async def explicit_key(stage: Stage, case: Case) -> None:
    """The configured key wins over ~/.netrc and over a user name in the base URL."""
    await sends_key(stage)
    if case.id == "userinfo":
        run = await stage.stream(setup=Setup(userinfo="someone:else"))
        run.notes["judged"] = True  # what it sends is judged here, and not by auth/header once more
        if run.phase == "construct" or run.refused:
            return
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "netrc"
            path.write_text("machine 127.0.0.1 login someone password else\n")
            path.chmod(0o600)
            run = await stage.stream(setup=Setup(env=(("NETRC", str(path)),)))
    for exchange in run.exchanges:
        given = credentials(exchange.request, View(stage.contract))
        if not carries(given, KEY, stage.contract):
            raise Broken(f"{case.id} changed what goes out as the key: {shown(given) or 'nothing'}")
    if not run.exchanges:
        run.must_not_raise()


FOREIGN_KEY = "sk-onpaper-Foreign5Tr8mVq1"
FOREIGN_VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")


@clause("auth/foreign-key", cases=CALLS, level="should", source="https://github.com/openai/openai-python/blob/main/README.md", why="A library that falls back to OPENAI_API_KEY hands it to whoever base_url names.")
async def foreign_key(stage: Stage, case: Case) -> None:
    """A key that is set for another provider goes nowhere: without a key of its own a client sends none.

    Hand the HTTP library or SDK an explicit key, also where there is none.
    """
    if stage.contract.base is None:
        raise NotApplicable("the variables may be this provider's own")
    others = tuple((name, FOREIGN_KEY) for name in FOREIGN_VARIABLES if name not in stage.declared.env)
    run = await _call(stage, case.id, Setup(key=None, env=others))
    run.notes["judged"] = True
    for exchange in run.exchanges:
        request = exchange.request
        carrying = [name for name, value in request.headers if FOREIGN_KEY in value]
        if carrying or FOREIGN_KEY in request.target or FOREIGN_KEY.encode() in request.body:
            raise Broken(f"{request.method} {request.path} carries the key of another provider{f' in {carrying[0]}' if carrying else ''}")


@clause("auth/two-keys", covers=(33,), source=INTERFACE, why="A client or a header cached per class mixes up two tenants.")
async def two_keys(stage: Stage, case: Case) -> None:
    """Two backends made with two keys never mix them, also when they have one URL and work at the same time."""
    needs_key(stage)
    keys = {"first": KEY, "second": "sk-onpaper-Second4Ab1cYz8"}

    async def act(backend: Any, run: Run) -> None:
        server = run.notes["server"]
        with guarded(stage.environment(server, Setup(key=keys["second"]))):
            other = await stage.made(server, Setup(key=keys["second"]))
            calls = [_ask(one, method, name) for one, name in ((backend, "first"), (other, "second")) for method in ("stream", "complete") * 2]
            await asyncio.gather(*calls, return_exceptions=True)
            await stage.closed(other, run)

    run = await stage.drive("stream()", act)
    if run.phase == "construct":
        raise NotApplicable(f"the backend could not be made twice: {run.error}")
    sent = [(name, exchange) for name in keys for exchange in run.chats if f"from the {name}".encode() in exchange.request.body]
    for name, exchange in sent:
        if any(not value.endswith(keys[name]) for _, value in credentials(exchange.request, View(stage.contract))):
            raise Broken("a request went out with the key of the other backend")
    if {name for name, _ in sent} != set(keys):
        raise NotApplicable("no request was made: see stream/text")
    run.notes["judged"] = True  # the second key is no mistake


async def _ask(backend: Any, method: str, name: str) -> None:
    said = [{"role": "user", "content": f"from the {name}"}]
    if method == "complete":
        await backend.complete(said)
    else:
        async for _ in await opened(backend, said):
            pass


@clause("auth/refused-key", cases=tuple(Case(f"{m}-{n}", (m, n)) for m in ("stream", "complete") for n in ("unauthorized", "forbidden")),
        covers=(36, 154), source=INTERFACE, why="A refused key that is tried again locks the account; one that is swallowed looks like an empty reply.")  # fmt: skip
async def refused_key(stage: Stage, case: Case) -> None:
    """401 and 403 raise, and are not tried again."""
    method, name = case.value
    run = await (stage.stream(Play(name)) if method == "stream" else stage.complete(Play(name)))
    run.must_raise(f"the provider answered {run.exchanges[0].reply.status if run.exchanges and run.exchanges[0].reply else 401}")
    if len(run.chats) > 1:
        raise Broken(f"the request was sent {len(run.chats)} times")

