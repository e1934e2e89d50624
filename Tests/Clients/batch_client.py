"""OpenAI's own client with files and batches, unchanged, against a live cluster. Usage: batch_client.py BASE_URL"""

import io
import json
import sys
import time

import openai

BASE = sys.argv[1]
MODEL = "baton-tiny"


def check(condition, what):
    if not condition:
        raise SystemExit(f"batch_client: {what}")


def line(name, body, url="/v1/completions"):
    return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": {"model": MODEL, **body}})


def upload(client, lines):
    content = ("\n".join(lines) + "\n").encode()
    file = client.files.create(file=("in.jsonl", io.BytesIO(content)), purpose="batch")
    check(file.bytes == len(content) and file.purpose == "batch" and file.object == "file", f"wrong file: {file}")
    check(client.files.content(file.id).read() == content, "the file is not what was uploaded")
    return file


def wait(client, batch):
    deadline = time.time() + 120
    while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
        check(time.time() < deadline, f"still {batch.status}")
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    return batch


def create(client, file, url="/v1/completions", **more):
    return client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h", **more)


def results(client, file_id):
    return {entry["custom_id"]: entry for entry in map(json.loads, client.files.content(file_id).text.splitlines())}


def completions(client):
    prompts = {f"line-{number}": f"Once upon a time, number {number}," for number in range(20)}
    lines = [line(name, {"prompt": prompt, "max_tokens": 8, "temperature": 0}) for name, prompt in prompts.items()]
    lines.append(line("many", {"prompt": "The end", "max_tokens": 4, "n": 3, "seed": 1}))
    lines.append(line("wrong", {"prompt": "x", "temperature": -1}))
    batch = create(client, upload(client, lines), metadata={"kind": "test"})
    check(batch.status == "validating" and batch.metadata == {"kind": "test"}, f"wrong batch: {batch}")
    batch = wait(client, batch)
    check(batch.status == "completed", f"the batch is {batch.status}: {batch.errors}")
    counts = batch.request_counts
    check((counts.total, counts.completed, counts.failed) == (22, 21, 1), f"wrong counts: {counts}")
    answers = results(client, batch.output_file_id)
    check(len(answers) == 21 and answers["line-3"]["error"] is None, "answers are missing")
    for name in ("line-0", "line-7"):
        online = client.completions.create(model=MODEL, prompt=prompts[name], max_tokens=8, temperature=0)
        body = answers[name]["response"]["body"]
        check(answers[name]["response"]["status_code"] == 200, "an answer has another status")
        check(body["choices"][0]["text"] == online.choices[0].text, f"{name} answers unlike itself online")
    check(len(answers["many"]["response"]["body"]["choices"]) == 3, "n is not heard")
    errors = results(client, batch.error_file_id)
    check(errors["wrong"]["response"]["status_code"] == 400, f"wrong error: {errors}")
    check(errors["wrong"]["response"]["body"]["error"]["param"] == "temperature", f"wrong error: {errors}")


def chats(client):
    messages = [{"role": "user", "content": "Tell me about a fox."}]
    url = "/v1/chat/completions"
    batch = wait(client, create(client, upload(client, [line("chat", {"messages": messages, "max_tokens": 8, "temperature": 0}, url)]), url))
    body = results(client, batch.output_file_id)["chat"]["response"]["body"]
    online = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=8, temperature=0)
    check(body["choices"][0]["message"]["content"] == online.choices[0].message.content, "a chat answers unlike itself online")


def refusals(client):
    batch = wait(client, create(client, upload(client, [line("a", {"prompt": "x"}), line("a", {"prompt": "x"})])))
    check(batch.status == "failed" and batch.errors.data[0].code == "duplicate_custom_id", f"wrong batch: {batch}")
    check(batch.errors.data[0].line == 2, f"wrong line: {batch.errors}")

    def fails(kind, call, param=None):
        try:
            call()
        except kind as error:
            check(param is None or error.param == param, f"names {error.param}, not {param}")
            return
        raise SystemExit(f"batch_client: no {kind.__name__}")

    file = upload(client, [line("a", {"prompt": "x"})])
    fails(openai.BadRequestError, lambda: create(client, file, "/v1/embeddings"), "endpoint")
    fails(openai.NotFoundError, lambda: client.batches.retrieve("batch_x"))
    fails(openai.NotFoundError, lambda: client.files.retrieve("file-x"))
    fails(openai.BadRequestError, lambda: client.batches.cancel(batch.id))
    check(client.files.delete(file.id).deleted, "the file is not deleted")
    fails(openai.NotFoundError, lambda: client.files.retrieve(file.id))


def lists(client):
    lines = [line(f"long-{number}", {"prompt": "Story", "max_tokens": 400}) for number in range(200)]
    batch = create(client, upload(client, lines))
    check(client.batches.cancel(batch.id).status in ("cancelling", "cancelled"), "it is not cancelled")
    batch = wait(client, batch)
    check(batch.status == "cancelled" and batch.cancelled_at, f"wrong batch: {batch}")
    # Lists bring page after page.
    batches = [entry.id for entry in client.batches.list(limit=2)]
    check(batches[0] == batch.id and len(batches) == len(set(batches)) >= 4, f"wrong list: {batches}")
    files = [entry.id for entry in client.files.list(limit=2)]
    check(batch.input_file_id in files and len(files) == len(set(files)), f"wrong list: {files}")
    check(all(entry.purpose == "batch_output" for entry in client.files.list(purpose="batch_output")), "a purpose is not heard")


client = openai.OpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0)
completions(client)
chats(client)
refusals(client)
lists(client)
print("batch: passed")
