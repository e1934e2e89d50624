#!/usr/bin/env python3
"""Endless corpus of short stories and short chats, drawn from the grammar beside it.

    python3 corpus.py [--count 10] [--seed 1]     prints samples

Names, places and objects of an answer come from its prompt, so a model must copy them instead of knowing them:
names are composed from syllables as often as taken from a list, and one composed name in twenty is held out of
training for the evaluation.
"""

import argparse
import random
import re
import zlib
from dataclasses import dataclass
from typing import Any, Iterator, NamedTuple

import grammar
import words

END_OF_TEXT = "<|endoftext|>"
CHAT_START = "<|im_start|>"
CHAT_END = "<|im_end|>"
SPECIAL_TOKENS = [END_OF_TEXT, CHAT_START, CHAT_END]


class Segment(NamedTuple):
    """Part of a document; only the learned parts count in the loss."""

    text: str
    learned: bool


Document = list[Segment]


@dataclass
class Cast:
    """Who and what one story is about. `friend` is empty when the helper has no name."""

    name: str
    girl: bool
    kind: str
    noun: str
    adjective: str
    preposition: str
    place: str
    helper_noun: str
    helper_adjective: str
    friend: str

    def slots(self, rng: random.Random) -> dict[str, str]:
        thing = f"{self.adjective} {self.noun}".strip()
        she, him, his = ("she", "her", "her") if self.girl else ("he", "him", "his")
        return {
            "name": self.name, "she": she, "him": him, "his": his, "She": she.capitalize(), "His": his.capitalize(),
            "a_kind": with_article(self.kind),
            "a_obj": with_article(thing), "the_obj": "the " + thing,
            "a_noun": with_article(self.noun), "the_noun": "the " + self.noun, "noun": self.noun,
            "place": "the " + self.place, "at_place": f"{self.preposition} the {self.place}",
            "a_helper": self.friend or with_article(f"{self.helper_adjective} {self.helper_noun}"),
            "helper": self.friend or "the " + self.helper_noun,
            "friend": self.friend,
            **{slot + suffix: leaning(choices, slot + suffix + self.noun, rng) for suffix in ("", "2") for slot, choices in CIRCUMSTANCES.items()},
        }  # fmt: skip


CIRCUMSTANCES = {
    "weather": words.WEATHERS, "time": words.TIMES, "season": words.MONTHS, "sad": words.SAD, "happy": words.HAPPY,
}  # fmt: skip


def leaning(choices: list, key: str, rng: random.Random) -> Any:
    """One of the choices, mostly one of the three that `key` prefers: places have their people, objects their plots.

    Without such leanings the greedy answer, the likeliest one, would be the same story about every prompt.
    """
    if rng.random() < 0.15:
        return rng.choice(choices)
    favourites = random.Random(zlib.crc32(key.encode())).sample(range(len(choices)), min(3, len(choices)))
    return choices[rng.choices(favourites, (6, 2, 1)[: len(favourites)])[0]]


def with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def expand(template: str, rng: random.Random) -> str:
    """Chooses alternatives, innermost brackets first."""
    while "[" in template:
        template = re.sub(r"\[([^\[\]]*)\]", lambda match: rng.choice(match[1].split("|")), template)
    return template


def capitalized(text: str) -> str:
    """Capital letters at the start and after a full stop (a quotation is capitalized by hand)."""
    return re.sub(r"(^|[.!?] |[.!?]\" (?=the |an? ))([a-z])", lambda match: match[1] + match[2].upper(), text)


def render(template: str, slots: dict[str, str], rng: random.Random) -> str:
    return capitalized(expand(template, rng).format_map(slots))


# The cast


def is_held_out(name: str) -> bool:
    return zlib.crc32(name.encode()) % 20 == 0


def composed_name(rng: random.Random, held_out: bool) -> tuple[str, bool]:
    while True:
        girl = rng.random() < 0.5
        middle = rng.choice(words.NAME_MIDDLES) if rng.random() < 0.6 else ""
        name = rng.choice(words.NAME_STARTS) + middle + rng.choice(words.GIRL_ENDINGS if girl else words.BOY_ENDINGS)
        if is_held_out(name) == held_out and name not in words.GIRLS and name not in words.BOYS:
            return name, girl


def any_name(rng: random.Random, held_out: bool) -> tuple[str, bool]:
    if held_out or rng.random() < 0.5:
        return composed_name(rng, held_out)
    girl = rng.random() < 0.5
    return rng.choice(words.GIRLS if girl else words.BOYS), girl


def any_place(rng: random.Random) -> tuple[str, str]:
    preposition = rng.choice(["in"] * 5 + ["at", "at", "by", "by", "on", "on"])
    place = rng.choice(words.PLACES[preposition])
    if rng.random() < 0.5:
        place = f"{rng.choice(words.PLACE_ADJECTIVES)} {place}"
    if rng.random() < 0.25:
        place = f"{place} of {rng.choice(words.TOWN_STARTS)}{rng.choice(words.TOWN_ENDINGS)}"
    return preposition, place


def any_cast(rng: random.Random, held_out: bool = False) -> Cast:
    name, girl = any_name(rng, held_out)
    material = rng.choice(list(words.OBJECTS))
    noun = rng.choice(words.OBJECTS[material])
    preposition, place = any_place(rng)
    kind = rng.choice([("girl" if girl else "boy")] * 2 + ["young " + rng.choice(words.TRADES), rng.choice(words.ANIMALS)])
    helper = leaning(words.HELPERS, place.split(" of ")[0].split()[-1], rng)
    friend = any_name(rng, held_out)[0] if rng.random() < 0.2 else ""
    return Cast(
        name=name, girl=girl, kind=kind,
        noun=noun,
        adjective=rng.choice(words.OBJECT_ADJECTIVES[material]) if rng.random() < 0.65 else "",
        preposition=preposition, place=place,
        helper_noun=helper if helper not in kind else "ferryman",
        helper_adjective=leaning(words.HELPER_ADJECTIVES, noun, rng),
        friend=friend if friend != name else "",
    )  # fmt: skip


def distinct_casts(rng: random.Random, count: int, held_out: bool = False) -> list[Cast]:
    """Casts that share no name, object or place."""
    casts: list[Cast] = []
    while len(casts) < count:
        cast = any_cast(rng, held_out)
        mine = {cast.name, cast.friend or cast.helper_noun, cast.noun, cast.place.split()[-1]}
        if not any(mine & {other.name, other.friend, other.noun, other.place.split()[-1]} for other in casts):
            casts.append(cast)
    return casts


# Stories


class Story:
    """One story with its opening, the rest, and the questions it can answer."""

    def __init__(self, cast: Cast, rng: random.Random, verb: str | None = None):
        self.cast, self.rng = cast, rng
        self.slots = cast.slots(rng)
        self.plot = leaning([plot for plot in grammar.PLOTS if verb in (None, plot.verb)], cast.noun, rng)
        self.opening = self.render(rng.choice(self.plot.openings))
        if cast.friend:
            self.opening += " " + self.render(rng.choice(grammar.FRIEND_OPENING))
        sentences = [rng.choice(grammar.MOOD)] if rng.random() < 0.4 else []
        for beat in self.plot.beats:
            several = 2 if beat in (grammar.WONDER, grammar.SEARCH) and rng.random() < 0.4 else 1
            first = leaning(beat, cast.place, rng)
            sentences += [first] + rng.sample([other for other in beat if other != first], several - 1)
        sentences.append(leaning(self.plot.endings, cast.noun + cast.kind, rng))
        self.rest = " ".join(self.render(sentence) for sentence in sentences)

    @property
    def text(self) -> str:
        return f"{self.opening} {self.rest}"

    @property
    def verb(self) -> str:
        return self.plot.verb

    def render(self, template: str) -> str:
        return render(template, self.slots, self.rng)

    def request(self) -> str:
        """What a user asks for to get this story."""
        templates = grammar.REQUESTS
        if self.rng.random() < 0.3:
            templates = grammar.REQUESTS_CARRY if self.verb == "carried" else grammar.REQUESTS_VERB
        text = self.rng.choice(templates)
        if self.cast.friend:
            text += " " + self.rng.choice(grammar.FRIEND_ASIDE)
        return render(text, {**self.slots, "verb": self.verb, "verbs": grammar.THIRD_PERSON[self.verb]}, self.rng)

    def open_request(self) -> str:
        """A request that names less than the story has; only for stories without a named friend."""
        return self.render(self.rng.choice(grammar.REQUESTS_OPEN))

    def continuation_request(self) -> str:
        return render(self.rng.choice(grammar.CONTINUE), {"opening": self.opening}, self.rng)

    def statement(self) -> str:
        """The story's first fact as one plain sentence."""
        where = "to {place}" if self.verb == "carried" else "{at_place}"
        return self.render("{name} " + self.verb + " {a_obj} " + where + ".")

    def questions(self, told: bool) -> list[tuple[str, str]]:
        """Questions with their answers; `told` says whether the whole story was told or only the statement."""
        where = "to {place}" if self.verb == "carried" else "{at_place}"
        fact = "{name} " + self.verb + " {the_obj} " + where + "."
        asked = grammar.ASKED[self.verb]
        kinds = [
            ("Where did {name} " + asked + " {the_noun}?", fact),
            ("What did {name} " + asked + " " + where + "?", "{name} " + self.verb + " {a_obj} " + where + "."),
            ("Who " + self.verb + " [{the_noun}|{the_obj}]?", fact),
        ]
        if self.cast.adjective:
            kinds.append(("What kind of {noun} did {name} " + asked + "?", "It was {a_obj}."))
        if self.cast.adjective in words.COLOURS:
            kinds.append(("What colour was {the_noun}?", "{the_noun} was " + self.cast.adjective + "."))
        if told:
            kinds += [
                ("[Summarise|Sum up] the story of {name} in one sentence.", self.plot.summary),
                ("Give the story [|of {name} ]a title.", "{name} and {the_obj}"),
                ("Who is the story about?", "The story is about {name}."),
            ]
        return [(self.render(question), self.render(answer)) for question, answer in kinds]

    def question(self, told: bool) -> tuple[str, str]:
        return self.rng.choice(self.questions(told))


# Documents


def chat(turns: list[tuple[str, str]]) -> Document:
    segments = []
    for user, assistant in turns:
        segments.append(Segment(f"{CHAT_START}user\n{user}{CHAT_END}\n{CHAT_START}assistant\n", False))
        segments.append(Segment(f"{assistant}{CHAT_END}\n", True))
    return segments


def some(turns: list[tuple[str, str]], chance: float, rng: random.Random) -> list[tuple[str, str]]:
    """A few of the turns in random order, each further one with the given chance."""
    count = 0
    while count < len(turns) and rng.random() < chance:
        count += 1
    return rng.sample(turns, count)


def plain_story(rng: random.Random) -> Document:
    """A friend's name is always given and never to be invented, so openings that name one are not learned."""
    story = Story(any_cast(rng), rng)
    return [Segment(story.opening, not story.cast.friend), Segment(f" {story.rest}{END_OF_TEXT}", True)]


def story_chat(rng: random.Random) -> Document:
    story = Story(any_cast(rng), rng)
    request = story.open_request() if rng.random() < 0.1 and not story.cast.friend else story.request()
    return chat([(request, story.text)] + some(story.questions(told=True), 0.35, rng))


def continuation_chat(rng: random.Random) -> Document:
    story = Story(any_cast(rng), rng)
    return chat([(story.continuation_request(), story.rest)])


def facts_chat(rng: random.Random) -> Document:
    """A few facts about different people, then questions that must pick the right one."""
    facts = [Story(cast, rng) for cast in distinct_casts(rng, rng.randint(1, 4))]
    question, answer = rng.choice(facts).question(told=False)
    turns = [(" ".join(fact.statement() for fact in facts) + " " + question, answer)]
    while rng.random() < 0.5:
        turns.append(rng.choice(facts).question(told=False))
    return chat(turns)


def given_story_chat(rng: random.Random) -> Document:
    """The user tells the story and asks about it."""
    story = Story(any_cast(rng), rng)
    (question, answer), *others = some(story.questions(told=True), 0.5, rng) or [story.question(told=True)]
    return chat([(f"{story.text} {question}", answer)] + others)


def small_talk_turn(rng: random.Random) -> tuple[str, str]:
    questions, answers = rng.choice(grammar.SMALL_TALK)
    return expand(rng.choice(questions), rng), expand(rng.choice(answers), rng)


def small_talk(rng: random.Random) -> Document:
    return chat([small_talk_turn(rng) for _ in range(rng.randint(1, 3))])


def long_chat(rng: random.Random) -> Document:
    """Several stories in one conversation, with questions that reach back over all of them."""
    turns = [small_talk_turn(rng)] if rng.random() < 0.3 else []
    told: list[Story] = []
    for cast in distinct_casts(rng, rng.randint(2, 4)):
        story = Story(cast, rng)
        turns.append((story.request(), story.text))
        told.append(story)
        turns += [rng.choice(told).question(told=False) for _ in range(rng.randint(0, 2))]
    return chat(turns)


KINDS = [(plain_story, 30), (story_chat, 30), (continuation_chat, 6), (facts_chat, 18), (given_story_chat, 6), (small_talk, 4), (long_chat, 4)]


def documents(seed: int) -> Iterator[Document]:
    rng = random.Random(seed)
    makers, weights = zip(*KINDS)
    while True:
        document = rng.choices(makers, weights)[0](rng)
        if document[0].text.startswith(CHAT_START) and rng.random() < 0.1:
            system = expand(rng.choice(grammar.SYSTEM), rng)
            document.insert(0, Segment(f"{CHAT_START}system\n{system}{CHAT_END}\n", False))
        yield document


def text_of(document: Document) -> str:
    return "".join(segment.text for segment in document)


# Held-out evaluation


class Probe(NamedTuple):
    """A prompt as text, what the answer must contain, and what kind of prompt it is."""

    kind: str
    prompt: str
    required: list[str]


def probes(seed: int, count: int) -> list[Probe]:
    """`count` probes of every kind, with names that training never shows."""
    rng = random.Random(seed)
    result = []
    for _ in range(count):
        for kind in ("request", "opening", "continue", "question"):
            story = Story(any_cast(rng, held_out=True), rng)
            cast = story.cast
            required = [cast.name, cast.place, f"{cast.adjective} {cast.noun}".strip()]
            if kind == "request":
                prompt = chat([(story.request(), "")])[0].text
            elif kind == "opening":
                prompt = story.opening
            elif kind == "continue":
                prompt = chat([(story.continuation_request(), "")])[0].text
            else:
                facts = [Story(cast, rng) for cast in distinct_casts(rng, 3, held_out=True)]
                question, answer = facts[rng.randrange(3)].question(told=False)
                prompt = chat([(" ".join(fact.statement() for fact in facts) + " " + question, "")])[0].text
                required = [answer]
            result.append(Probe(kind, prompt, required))
    return result


def ordinary_words(count: int = 4000) -> set[str]:
    """All words of the grammar, in lower case, without the names of characters and towns."""
    rng = random.Random(0)
    found: set[str] = set()
    for _ in range(count):
        story = Story(any_cast(rng), rng)
        names = set(re.findall(r"[A-Za-z]+", f"{story.cast.name} {story.cast.friend} {story.cast.place}"))
        turn = " ".join(small_talk_turn(rng)) + " " + " ".join(story.question(told=True))
        found |= {word.lower() for word in re.findall(r"[A-Za-z]+", f"{story.text} {turn}") if word not in names}
    for group in (words.PLACE_ADJECTIVES, *words.PLACES.values()):
        found |= set(group)
    return found


def foreign_words(answer: str, prompt: str, ordinary: set[str]) -> list[str]:
    """Capitalized words of an answer that neither the prompt nor the grammar knows: invented or mistaken names."""
    known = set(re.findall(r"[A-Za-z]+", prompt))
    return [word for word in re.findall(r"[A-Z][a-z]+", answer) if word not in known and word.lower() not in ordinary]


def helpers_named(text: str) -> set[str]:
    """The helpers that a text speaks of as known: "the fisherman"."""
    return {helper for helper in words.HELPERS if re.search(rf"\b[Tt]he {helper}\b", text)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10, help="documents to print")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for _, document in zip(range(arguments.count), documents(arguments.seed)):
        print(text_of(document), end="\n\n")


if __name__ == "__main__":
    main()
