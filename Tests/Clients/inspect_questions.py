"""Questions about short stories, as a task of Inspect: who did what is only in the question."""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

STORY = "Otto kept a blue kite on the roof. Selma found a silver whistle by the frozen lake. Hugo lost a wooden flute in the orchard."
QUESTIONS = {
    "Where did Selma find the whistle?": "frozen lake",
    "Where did Otto keep the kite?": "roof",
    "Where did Hugo lose the flute?": "orchard",
    "What did Selma find by the frozen lake?": "whistle",
    "What did Otto keep on the roof?": "kite",
    "What did Hugo lose in the orchard?": "flute",
}


@task
def questions():
    samples = [Sample(input=f"{STORY} {question}", target=answer) for question, answer in QUESTIONS.items()]
    return Task(dataset=samples, solver=generate(), scorer=includes(), config=GenerateConfig(temperature=0, max_tokens=60))
