"""OpenAI's own client, unchanged, against a live cluster. Usage: openai_client.py BASE_URL"""

import asyncio
import json
import sys

import httpx
import openai

BASE = sys.argv[1]
MODEL = "baton-tiny"
PROMPT = "Once upon a time"


def check(condition, what):
    if not condition:
        raise SystemExit(f"openai_client: {what}")


def completions(client):
    whole = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=24, temperature=0)
    check(whole.choices[0].text and whole.choices[0].finish_reason in ("length", "stop"), f"no answer: {whole}")
    check(whole.usage.completion_tokens <= 24 and whole.usage.prompt_tokens > 0, f"wrong usage: {whole.usage}")

    chunks = list(client.completions.create(
        model=MODEL, prompt=PROMPT, max_tokens=24, temperature=0, stream=True, stream_options={"include_usage": True}))
    streamed = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    check(streamed == whole.choices[0].text, f"the stream differs: {streamed!r}, {whole.choices[0].text!r}")
    check(chunks[-1].usage.completion_tokens == whole.usage.completion_tokens, "the stream's usage differs")
    check(len({chunk.id for chunk in chunks}) == 1, "chunks have several ids")

    again = [client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=16, temperature=1, seed=7) for _ in range(2)]
    check(again[0].choices[0].text == again[1].choices[0].text, "the same seed gives two answers")
    check(again[0].system_fingerprint == again[1].system_fingerprint, "the fingerprint changes")

    many = client.completions.create(model=MODEL, prompt=[PROMPT, "The end"], n=2, max_tokens=8, temperature=1, seed=1)
    check([choice.index for choice in many.choices] == [0, 1, 2, 3], "choices are not numbered")
    tokens = httpx.post(BASE + "/tokenize", json={"model": MODEL, "prompt": PROMPT}).json()["tokens"]
    of_tokens = client.completions.create(model=MODEL, prompt=tokens, max_tokens=24, temperature=0)
    check(of_tokens.choices[0].text == whole.choices[0].text, "token ids answer unlike their text")

    stop = whole.choices[0].text[6:11]
    stopped = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=24, temperature=0, stop=stop)
    check(stop not in stopped.choices[0].text and stopped.choices[0].finish_reason == "stop", "the stop string is shown")

    scored = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=1, echo=True, logprobs=1, temperature=0)
    logprobs = scored.choices[0].logprobs
    check(logprobs.token_logprobs[0] is None and all(value <= 0 for value in logprobs.token_logprobs[1:]), "no prompt logprobs")
    check("".join(logprobs.tokens).startswith(PROMPT), f"tokens are no text: {logprobs.tokens}")


def chats(client):
    messages = [{"role": "system", "content": "You tell stories."}, {"role": "user", "content": "Tell me about a fox."}]
    whole = client.chat.completions.create(model=MODEL, messages=messages, max_completion_tokens=24, temperature=0)
    check(whole.choices[0].message.role == "assistant" and whole.choices[0].message.content, f"no answer: {whole}")

    chunks = list(client.chat.completions.create(
        model=MODEL, messages=messages, max_tokens=24, temperature=0, stream=True, stream_options={"include_usage": True}))
    check(chunks[0].choices[0].delta.role == "assistant", "the first chunk has no role")
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    check(streamed == whole.choices[0].message.content, "the stream differs")
    check(chunks[-1].usage is not None and not chunks[-1].choices, "no usage at the end")

    scored = client.chat.completions.create(
        model=MODEL, messages=messages, max_tokens=4, temperature=0, logprobs=True, top_logprobs=3, n=2)
    check(len(scored.choices) == 2, "n is not heard")
    for entry in scored.choices[0].logprobs.content:
        check(len(entry.top_logprobs) == 3 and entry.logprob <= 0, f"wrong logprobs: {entry}")


def forms(client):
    messages = [{"role": "user", "content": "Which animal?"}]
    schema = {
        "type": "object", "properties": {"animal": {"enum": ["fox", "owl"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["animal", "count"], "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "animal", "schema": schema, "strict": True}}
    for seed in range(8):
        answer = client.chat.completions.create(
            model=MODEL, messages=messages, response_format=form, max_tokens=64, temperature=1, seed=seed)
        choice = answer.choices[0]
        if choice.finish_reason == "stop":
            value = json.loads(choice.message.content)
            check(set(value) == {"animal", "count"} and value["animal"] in ("fox", "owl"), f"not by the schema: {value}")
        else:
            check(choice.message.content.lstrip().startswith("{"), f"no object: {choice.message.content!r}")


def errors(client):
    def fails(kind, call, param=None):
        try:
            call()
        except kind as error:
            check(param is None or error.param == param, f"names {error.param}, not {param}")
            return error
        raise SystemExit(f"openai_client: no {kind.__name__}")

    fails(openai.NotFoundError, lambda: client.completions.create(model="gpt-4o", prompt="x"), "model")
    fails(openai.BadRequestError, lambda: client.completions.create(model=MODEL, prompt="x", temperature=-1), "temperature")
    fails(openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=[]), "messages")
    error = fails(openai.BadRequestError, lambda: client.completions.create(model=MODEL, prompt="x", max_tokens=100_000))
    check(error.code == "context_length_exceeded", f"code is {error.code}")
    check(error.request_id, "no request id")
    stranger = openai.OpenAI(base_url=BASE + "/v2", api_key="x", max_retries=0)
    fails(openai.NotFoundError, lambda: stranger.models.list())


async def concurrently():
    async with openai.AsyncOpenAI(base_url=BASE + "/v1", api_key="none") as client:
        async def one(number):
            stream = await client.completions.create(
                model=MODEL, prompt=f"Story {number}.", max_tokens=16, temperature=0, stream=True, extra_body={"ignore_eos": True})
            return len([chunk async for chunk in stream])
        counts = await asyncio.gather(*(one(number) for number in range(32)))
        check(all(counts), "a stream was empty")
        stream = await client.completions.create(model=MODEL, prompt="x", max_tokens=500, stream=True, extra_body={"ignore_eos": True})
        async for _ in stream:
            break
        await stream.close()


client = openai.OpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0)
check([model.id for model in client.models.list()] == [MODEL], "wrong models")
check(client.models.retrieve(MODEL).id == MODEL, "the model is not found")
completions(client)
chats(client)
forms(client)
errors(client)
asyncio.run(concurrently())
print("openai: passed")
