"""Replies that are broken in one place."""

from __future__ import annotations

import json

from onpaper.exchange import Exchange

from .parts import (
    COUNTS,
    DONE,
    HEL,
    LAST_LINE,
    LO,
    STOP,
    STREAMED,
    TOO_MANY,
    UNCOUNTED,
    USAGE,
    calling,
    chunk,
    completion,
    events,
    line,
    lines,
    listed,
    reply,
    request,
    stream,
    whole,
)
from .table import breaks

# ---- streams ---------------------------------------------------------------------------------------------


@breaks("server/content-type", "a stream is labelled 'application/json'")
def stream_labelled_as_json() -> Exchange:
    """A stream labelled as JSON."""
    return Exchange(request(STREAMED), reply(events(HEL, LO, STOP, COUNTS, DONE), "json"))


@breaks("server/events-are-closed", "the stream ends inside an event")
def stream_without_its_last_blank_line() -> Exchange:
    """No blank line after the last event."""
    return stream(HEL, LO, STOP, COUNTS, after=b"data: [DONE]\n")


@breaks("server/only-known-fields", "the field 'error' is none of server-sent events")
def stream_with_an_error_field() -> Exchange:
    """An error in a field that no parser reads."""
    return stream(HEL, LO, STOP, COUNTS, DONE, after=b'error: {"message": "x"}\n\n')


@breaks("server/events-are-json", "the data of an event is not JSON")
def stream_with_half_a_chunk() -> Exchange:
    """Half a chunk."""
    return stream(HEL, b'{"id": "chatc', STOP, COUNTS, DONE)


@breaks("server/events-are-json", "the data of an event is no JSON object")
def stream_with_a_list() -> Exchange:
    """A list for a chunk."""
    return stream(HEL, [1], STOP, COUNTS, DONE)


@breaks("server/sentinel", "the stream does not end with [DONE]")
def stream_without_a_sentinel() -> Exchange:
    """No sentinel."""
    return stream(HEL, LO, STOP, COUNTS)


@breaks("server/sentinel", "events follow [DONE]")
def stream_after_its_sentinel() -> Exchange:
    """A chunk after the sentinel."""
    return stream(HEL, STOP, COUNTS, DONE, LO)


@breaks("server/sentinel", "which the contract says it does not", contract="perplexity")
def stream_with_an_unwanted_sentinel() -> Exchange:
    """A sentinel where the contract has none."""
    return stream(HEL, LO, STOP, COUNTS, DONE)


@breaks("server/complete", "the stream ends without a finish reason, a sentinel or an error")
def stream_that_just_stops() -> Exchange:
    """A stream that just stops."""
    return stream(HEL, LO)


@breaks("server/finish-once", "choice 0 goes on after its finish reason")
def stream_after_its_finish() -> Exchange:
    """Text after the finish reason."""
    return stream(HEL, STOP, LO, COUNTS, DONE)


@breaks("server/finish-once", "choice 0 goes on after its finish reason")
def stream_that_finishes_twice() -> Exchange:
    """Two finish reasons."""
    return stream(HEL, LO, STOP, STOP, COUNTS, DONE)


@breaks("server/id-constant", "the ids of one stream differ: chatcmpl-1, chatcmpl-2")
def stream_with_two_ids() -> Exchange:
    """Another id in the middle."""
    return stream(HEL, LO | {"id": "chatcmpl-2"}, STOP, COUNTS, DONE)


@breaks("server/object", "object is 'chat.completion'; the contract says chat.completion.chunk")
def stream_of_whole_completions() -> Exchange:
    """Chunks named after a reply in one piece."""
    return stream(HEL, LO | {"object": "chat.completion"}, STOP, COUNTS, DONE)


@breaks("server/delta", "delta is None")
def stream_with_a_null_delta() -> Exchange:
    """A delta that is null."""
    return stream(HEL, chunk(None), STOP, COUNTS, DONE)


@breaks("server/delta", "index is None")
def stream_without_an_index() -> Exchange:
    """A choice without an index."""
    return stream(HEL, chunk({}, choices=[{"delta": {"content": "lo"}}]), STOP, COUNTS, DONE)


@breaks("server/tool-call-named", "a tool call has no name")
def call_without_a_name() -> Exchange:
    """A tool call without a name."""
    return calling(None, "{}")


@breaks("server/tool-arguments", "the arguments of 'get_time' are '{bad'")
def call_with_broken_arguments() -> Exchange:
    """Arguments that are not JSON."""
    return calling("get_time", "{bad")


@breaks("server/tool-arguments", "the arguments of 'get_time' are '[1]'")
def call_with_a_list() -> Exchange:
    """Arguments that are a list."""
    return calling("get_time", "[1]")


@breaks("server/usage-asked", "the counts were asked for, and the stream has none")
def stream_without_its_counts() -> Exchange:
    """No counts, though they were asked for."""
    return stream(HEL, LO, STOP, DONE)


@breaks("server/usage-unasked", "nobody asked for the counts, and the stream has them")
def stream_with_unasked_counts() -> Exchange:
    """Counts that nobody asked for."""
    return stream(HEL, LO, STOP, COUNTS, DONE, asked=UNCOUNTED)


@breaks("server/usage-adds-up", "total_tokens is less than the sum")
def stream_that_cannot_add() -> Exchange:
    """A total that is too small."""
    return stream(HEL, LO, STOP, COUNTS | {"usage": USAGE | {"total_tokens": 2}}, DONE)


@breaks("server/lines-are-json", "a line is no JSON object", contract="ollama")
def lines_with_half_an_object() -> Exchange:
    """Half an object in a line."""
    return lines(line("Hel"), b'{"model": "m', LAST_LINE)


@breaks(
    "server/complete", "the stream ends without a finish reason, a sentinel or an error", contract="ollama"
)
def lines_that_just_stop() -> Exchange:
    """Lines of which none says done."""
    return lines(line("Hel"), line("lo"))


# ---- replies in one piece --------------------------------------------------------------------------------


@breaks("server/content-type", "a reply in one piece is labelled 'text/html'")
def reply_labelled_as_a_page() -> Exchange:
    """A reply labelled as a page."""
    return whole(completion(), kind="text/html")


@breaks("server/utf8", "the body is not UTF-8")
def reply_in_another_encoding() -> Exchange:
    """A reply in Latin-1."""
    return whole(json.dumps(completion()).replace("Hello", "Grüße").encode("latin-1"))


@breaks("server/json", "the reply is not JSON")
def reply_that_is_no_json() -> Exchange:
    """A proxy's words for a reply."""
    return whole(b"upstream connect error")


@breaks("server/object", "object is 'text_completion'; the contract says chat.completion")
def reply_of_another_endpoint() -> Exchange:
    """A reply named after another endpoint's."""
    return whole(completion() | {"object": "text_completion"})


@breaks("server/usage-adds-up", "total_tokens is less than the sum")
def reply_that_cannot_add() -> Exchange:
    """A total that is too small."""
    return whole(completion() | {"usage": USAGE | {"total_tokens": 2}})


@breaks("server/reply-shape", "the reply has no choices")
def reply_without_choices() -> Exchange:
    """A reply without choices."""
    return whole(completion() | {"choices": []})


@breaks("server/reply-shape", "a choice has no message")
def reply_without_a_message() -> Exchange:
    """A choice without a message."""
    return whole(completion(message=None))


@breaks("server/reply-shape", "the role of the message is 'user'")
def reply_of_the_user() -> Exchange:
    """A message of the user."""
    return whole(completion(message={"role": "user", "content": "Hello"}))


@breaks("server/reply-shape", "the index of a choice is None")
def reply_without_an_index() -> Exchange:
    """A choice without an index."""
    return whole(completion(index=None))


@breaks("server/reply-shape", "the finish reason of a choice is None")
def reply_without_a_finish_reason() -> Exchange:
    """A reply that does not say why it ended."""
    return whole(completion(finish_reason=None))


@breaks("server/error-has-words", "the error is labelled as JSON and is not")
def refusal_that_is_no_json() -> Exchange:
    """A page labelled as JSON."""
    return whole(b"<html>", status=502)


@breaks("server/error-has-words", "the error has no words")
def refusal_without_words() -> Exchange:
    """An error that is only a number."""
    return whole({"error": {"code": 500}}, status=500)


@breaks("server/retry-after", "no header says how long to wait")
def refusal_without_a_wait() -> Exchange:
    """429 without a word of when to come back."""
    return whole(TOO_MANY, status=429)


@breaks("server/models-list", "the model list is not JSON")
def model_list_that_is_no_json() -> Exchange:
    """A page for a model list."""
    return listed(b"<html>")


@breaks("server/models-list", "the model list has no data")
def model_list_without_data() -> Exchange:
    """A model list under another name."""
    return listed({"models": []})


@breaks("server/models-list", "an entry of the model list has no id")
def model_list_without_ids() -> Exchange:
    """An entry without an id."""
    return listed({"data": [{"object": "model"}]})


@breaks("server/models-list", "an entry of the model list has no name", contract="ollama")
def model_list_without_names() -> Exchange:
    """An entry without a name."""
    return listed({"models": [{}]}, "/api/tags")


@breaks("server/reply-shape", "the reply is no JSON object")
def reply_in_a_list() -> Exchange:
    """A completion in a list."""
    return whole([completion()])


# ---- values ----------------------------------------------------------------------------------------------


@breaks("server/finish-reason", "the stream ends without a finish reason")
def stream_without_a_finish_reason() -> Exchange:
    """A sentinel, and no word of why the reply ends."""
    return stream(HEL, LO, COUNTS, DONE)


@breaks("server/finish-known", "the finish reason 'banana' is none of")
def stream_with_an_unknown_finish_reason() -> Exchange:
    """A finish reason that nobody knows."""
    return stream(HEL, chunk({}, "banana"), COUNTS, DONE)


@breaks("server/chunk-choices", "choices is None")
def stream_without_choices() -> Exchange:
    """A chunk whose choices are null."""
    return stream(HEL, LO, STOP, COUNTS | {"choices": None}, DONE)


@breaks("server/content-is-text", "the content is 12")
def stream_with_a_number_for_content() -> Exchange:
    """A number for a piece of text."""
    return stream(HEL, chunk({"content": 12}), STOP, COUNTS, DONE)


@breaks("server/content-is-text", "the content is {'answer': 12}")
def reply_with_an_object_for_content() -> Exchange:
    """An object for the text of a reply in one piece."""
    return whole(completion(message={"role": "assistant", "content": {"answer": 12}}))


@breaks("server/role", "the role of a delta is 'user'")
def stream_of_the_user() -> Exchange:
    """A delta that names the user."""
    return stream(chunk({"role": "user", "content": "Hel"}), LO, STOP, COUNTS, DONE)


@breaks("server/arguments-are-text", "the arguments are {'city': 'Paris'}")
def reply_with_an_object_for_arguments() -> Exchange:
    """Arguments that are an object."""
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": {"city": "Paris"}}}
    return whole(completion(message={"role": "assistant", "content": None, "tool_calls": [call]}, finish_reason="tool_calls"))


@breaks("server/arguments-are-text", "a tool call has no function that is an object")
def reply_with_a_flat_tool_call() -> Exchange:
    """A tool call whose name stands beside its id."""
    call = {"id": "call_1", "name": "f", "arguments": "{}"}
    return whole(completion(message={"role": "assistant", "content": None, "tool_calls": [call]}, finish_reason="tool_calls"))


@breaks("server/call-ids-differ", "the ids of the tool calls are call_1, call_1")
def reply_with_one_id_for_two_calls() -> Exchange:
    """Two tool calls under one id."""
    calls = [{"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "fg"]
    return whole(completion(message={"role": "assistant", "content": None, "tool_calls": calls}, finish_reason="tool_calls"))


@breaks("server/counts-are-numbers", "prompt_tokens is -5")
def stream_with_a_negative_count() -> Exchange:
    """Less than no tokens."""
    return stream(HEL, LO, STOP, COUNTS | {"usage": USAGE | {"prompt_tokens": -5}}, DONE)


@breaks("server/counts-are-numbers", "eval_count is '2'", contract="ollama")
def lines_with_a_count_that_is_text() -> Exchange:
    """A count in quotes."""
    return lines(line("Hello"), LAST_LINE | {"eval_count": "2"})


@breaks("server/types", "created is 1763640000000")
def stream_in_milliseconds() -> Exchange:
    """A moment in milliseconds."""
    return stream(HEL | {"created": 1763640000000}, LO, STOP, COUNTS, DONE)


@breaks("server/types", "id is 42")
def reply_with_a_number_for_id() -> Exchange:
    """An id that is a number."""
    return whole(completion() | {"id": 42})


@breaks("server/lines-shape", "a line has no message with a content that is text", contract="ollama")
def lines_with_a_number_for_content() -> Exchange:
    """A number for a piece of text."""
    return lines(line("Hel"), line(3), LAST_LINE)  # type: ignore[arg-type]


@breaks("server/lines-shape", "lines follow the one that is done", contract="ollama")
def lines_after_the_last() -> Exchange:
    """A piece of text after the line that is done."""
    return lines(line("Hel"), LAST_LINE, line("lo"))


@breaks("server/lines-shape", "the role of a line is 'user'", contract="ollama")
def lines_of_the_user() -> Exchange:
    """A line that names the user."""
    said = line("Hel")
    return lines(said | {"message": said["message"] | {"role": "user"}}, LAST_LINE)


@breaks("server/json", "NaN is not JSON")
def reply_that_only_python_reads() -> Exchange:
    """NaN, which JSON does not know."""
    return whole(b'{"choices": [], "score": NaN}')
