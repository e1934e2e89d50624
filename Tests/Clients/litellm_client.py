"""LiteLLM, unchanged, against a live cluster. Usage: litellm_client.py BASE_URL"""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

BASE = sys.argv[1]
ARGUMENTS = {"model": "openai/baton-tiny", "api_base": BASE + "/v1", "api_key": "none", "max_tokens": 16, "temperature": 0}
MESSAGES = [{"role": "user", "content": "Tell me about a fox."}]


def check(condition, what):
    if not condition:
        raise SystemExit(f"litellm_client: {what}")


whole = litellm.completion(messages=MESSAGES, **ARGUMENTS)
check(whole.choices[0].message.content and whole.usage.completion_tokens <= 16, f"no answer: {whole}")
streamed = "".join(
    chunk.choices[0].delta.content or "" for chunk in litellm.completion(messages=MESSAGES, stream=True, **ARGUMENTS))
check(streamed == whole.choices[0].message.content, "the stream differs")
text = litellm.text_completion(**{**ARGUMENTS, "model": "text-completion-openai/baton-tiny"}, prompt="Once upon a time")
check(text.choices[0].text, f"no answer: {text}")
try:
    litellm.completion(messages=MESSAGES, **{**ARGUMENTS, "max_tokens": 100_000}, num_retries=0)
    check(False, "too many tokens are no error")
except litellm.ContextWindowExceededError:
    pass
except litellm.BadRequestError as error:
    check("maximum context length" in str(error), f"unclear: {error}")
print("litellm: passed")
