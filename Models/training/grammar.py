"""The sentences of the corpus.

`[a|b]` chooses one alternative and may be nested; `{slot}` is filled from the cast of the story:

    {name} {she} {him} {his}      the hero and the pronouns ({She}, {His} at the start of a sentence)
    {a_kind}                      what the hero is: "a girl", "a baker", "a fox"
    {a_obj} {the_obj} {the_noun}  "a brass key", "the brass key", "the key"
    {place} {at_place}            "the old mill", "in the old mill"
    {a_helper} {helper}           "an old fisherman" at first sight, "the fisherman" afterwards; or a named friend
    {weather} {time} {season} {sad} {happy}

Names, places and objects appear only through slots: what an answer says about them comes from the prompt.
"""

from typing import NamedTuple


class Plot(NamedTuple):
    verb: str  # what the hero did with the object; questions ask about it
    openings: list[str]
    beats: list[list[str]]  # one sentence of each, in order
    endings: list[str]  # what becomes of the object
    summary: str


FOUND = [
    "[One|On a] {weather} {time}, {name} found {a_obj} {at_place}.",
    "It was a {weather} {time} when {name} found {a_obj} {at_place}.",
    "Once upon a time, {name}, {a_kind}, found {a_obj} {at_place}.",
    "{name} found {a_obj} {at_place}.",
    "{name} was {a_kind} who liked to walk {at_place}. One {weather} {time}, {she} found {a_obj} there.",
    "In the {season}, {name} went for a walk and found {a_obj} {at_place}.",
]
LOST = [
    "One {weather} {time}, {name} lost {a_obj} {at_place}.",
    "Once upon a time, {name}, {a_kind}, lost {a_obj} {at_place}.",
    "{name} lost {a_obj} {at_place}.",
    "{name} was {a_kind} who owned {a_obj}. One {weather} {time}, {she} lost it {at_place}.",
    "In the {season}, {name} was in a hurry and lost {a_obj} {at_place}.",
]
BROUGHT = [
    "One {weather} {time}, {name} carried {a_obj} to {place}.",
    "Once upon a time, {name}, {a_kind}, carried {a_obj} to {place}.",
    "{name} carried {a_obj} to {place}.",
    "{name} was {a_kind} who owned {a_obj}. One {weather} {time}, {she} carried it to {place}.",
    "In the {season}, {name} packed {his} bag and carried {a_obj} to {place}.",
]
KEPT = [
    "Once upon a time, there was {a_kind} called {name}, who kept {a_obj} {at_place}.",
    "{name} kept {a_obj} {at_place}.",
    "Long ago, {name}, {a_kind}, kept {a_obj} {at_place}.",
    "{name} was {a_kind} who spent every {season} {at_place}. There {she} kept {a_obj}.",
]

MOOD = [
    "The air smelled of [bread|salt|rain|pine trees|smoke|apples], and [far away|somewhere] a [bell|dog|cock|church clock] could be heard.",
    "It was so quiet {at_place} that one could hear [a leaf fall|the bees hum|the clock tick|the snow melt].",
    "{His} [grandmother|grandfather|mother|father] had [always|often] told {him} about {place}.",
    "[Nobody else|Hardly anyone|Only the birds] came there [so early|so late|in such weather].",
    "{She} wore [a thick coat|a new hat|old boots] and [hummed a tune|counted {his} steps|whistled a song].",
]
WONDER = [
    "[It|The thing] [looked|seemed] [very old|almost new|quite forgotten], and {name} [wondered|asked {him}self] [who had left it there|whose it could be].",
    '"[Who could have left this here|Whose is this|How did you get here]?" {name} [asked|wondered|whispered].',
    "{She} [picked it up|turned it over] [carefully|slowly|with both hands] and [looked around|listened|held it up to the light], but [nobody was there|there was no one to be seen|nobody came].",
    "{name} had never seen {a_noun} like it.",
    "Under the dust there was [a small star|a letter|a tiny bird|a number], [cut|painted] by [a careful|a steady|somebody's] hand.",
]
SEARCH = [
    "{name} felt {sad}, [for|because] {the_noun} had belonged to {his} [grandmother|grandfather|mother|father|sister|uncle].",
    "{She} [looked|searched] [everywhere|high and low|for hours]: under the [leaves|stones|benches], behind the [door|trees|barrels] and along the [path|fence|wall].",
    '"[I must find it before dark|It cannot be far|Oh dear, where can it be]," {name} said [to {him}self|quietly|with a sigh].',
    "{name} [walked back the whole way|went back step by step], but {the_obj} was [nowhere to be seen|not there|gone].",
    "The longer {she} searched, the more {sad} {she} [felt|became].",
]
MEET = [
    "[Just then|Soon|After a while|A little later|Before long], {a_helper} came [along|by|up the path|around the corner].",
    "[Not far away|Near a low wall|Beside the path], {name} met {a_helper}.",
    "{a_helper} [was sitting nearby|had been watching quietly] and [nodded|smiled|waved] at {him}.",
]
ASK_OWNER = [
    '"Is this yours?" asked {name}, and [showed|held up] {the_obj}.',
    '"Do you know whose {noun} this is?" {name} asked.',
    "{name} [showed {helper} {the_obj}|told {helper} about {the_obj}] and asked what to do.",
]
OWNER_YES = [
    '"[That is mine|It is mine]!" [cried|said|laughed] {helper}. "I [lost it|have missed it since] last {season2}."',
    '{helper} [stared|looked] at it for a long time. "[I thought I would never see it again|I have looked for it everywhere]," said {helper}.',
    '"My [grandfather|mother|brother] made {the_noun} for me," said {helper} [softly|with a smile]. "Thank you, {name}."',
]
ASK_HELP = [
    '"Have you seen {a_obj}?" asked {name}.',
    '"[Why do you look so {sad}|What is the matter]?" asked {helper}. "I have lost {the_obj}," said {name}.',
    "{name} told {helper} [everything|the whole story], and {helper} [listened|nodded] [kindly|patiently|without a word].",
]
OBSTACLE = [
    "But the way was blocked by a [fallen tree|flooded ditch|locked gate], so they had to [climb over it|go around it|wait for help].",
    "Then [thick fog rolled in|heavy rain began to fall|the wind began to howl], and they could hardly see [their own feet|the path|each other].",
    "A [proud goose|stubborn goat|large dog] stood in the way and would not move [until they sang a song|until they shared their bread|before they asked politely].",
    "It grew dark, and [the only light was the moon|the stars were hidden behind the clouds|an owl called in the distance].",
    "[Twice|Three times] they took the wrong turn, and [twice|three times] they [laughed|sighed] and [turned back|started again].",
]
FOUND_AGAIN = [
    "At last {helper} [pointed|looked] [down|up|ahead]: {the_obj} was [lying in the grass|hanging from a branch|stuck between two stones], right there {at_place}.",
    "[Suddenly|Then] something [gleamed|moved|caught the light] {at_place}. It was {the_obj}!",
    "[In the end|Finally] it was {helper} who found {the_obj}, [hidden under a heap of leaves|behind an old crate|half covered with sand].",
]
STORM = [
    "Soon the [sky turned black|wind grew strong|rain came down], and {a_helper} [called for help|was in trouble|could not get home].",
    "That {time}, a storm came, and {a_helper} [lost the way|was trapped|stood shivering in the rain].",
    "[Before {she} could rest|No sooner had {she} arrived], {name} heard a cry. It was {a_helper}, [lost and cold|who had fallen and could not get up].",
]
RESCUE = [
    "{name} did not [wait|hesitate]. {She} [took|grabbed] {the_obj} and ran [through the rain|as fast as {she} could|without looking back].",
    '"[Hold on|Do not be afraid], I am coming!" [called|cried] {name}, and held {the_obj} [tightly|high above {his} head].',
    "{name} was {sad}, but {she} [took a deep breath|closed {his} eyes for a moment] and [reached for|lifted] {the_obj}.",
]
SAVED = [
    "With the help of {the_obj}, {helper} was soon [safe|warm and dry|out of danger] again.",
    "It was {the_obj} that [saved the day|showed the way|made all the difference], and {helper} was safe.",
    "[Step by step|Little by little], {name} brought {helper} to safety, and {the_obj} never left {his} [hand|side].",
]
GIFT_PLAN = [
    "{name} wanted to give {the_noun} to {a_helper}, who [was ill|had a birthday|had once been kind to {him}|was leaving the next day].",
    "It was meant as a [present|surprise] for {a_helper}, who [lived there all alone|had never been given a present|was waiting there].",
]
JOURNEY = [
    "The way had been [long and steep|muddy and slow], and {name} had [rested many times|turned back twice].",
    "On the way it had begun to [rain|snow|thunder], but {name} had [hidden {the_noun} under {his} coat|kept {the_noun} dry].",
    "{She} had walked [all day|for hours|through three villages] and was [tired|hungry] but {happy}.",
]
GIFT = [
    '"[This is for you|I brought you something]," said {name}, and gave {the_obj} to {helper}.',
    "{name} [put|laid] {the_obj} into the hands of {helper}, who [did not know what to say|wept for joy|laughed out loud].",
    'When {helper} saw {the_obj}, {helper} said, "[Nobody has ever given me such a thing|It is the finest {noun} I have ever seen]."',
]
FAIR = [
    "There was a [contest|feast|great fair] that day, and everybody had brought the [best|finest|dearest] thing they owned.",
    "All the [neighbours|villagers|children] had come to [show|trade] what they had made.",
]
LAUGHED = [
    "[Some|A few] people laughed at {the_obj}. {name} felt {sad} and wanted to go home.",
    "\"That is only {a_noun},\" said a [rich merchant|loud boy|proud lady], and {name} felt {sad}.",
]
PRAISED = [
    'But {a_helper} [stepped forward|looked closely] and said, "I have [travelled far|seen many things], but never have I seen {a_noun} made with so much [care|love|patience]."',
    "Then {a_helper} asked to [hold|see] {the_obj}, and [everyone fell silent|the laughing stopped|people came closer].",
]
PRIZE = [
    "In the end, {name} [won the first prize|was given a wreath of flowers|got the loudest applause] for {the_obj}.",
    "The judges talked for a long time, and then they gave the prize to {name} for {the_obj}.",
]
BROKEN = [
    "One day {the_noun} [broke|cracked|fell down and broke], and {name} felt {sad}.",
    "But one {weather} {time}, {the_obj} fell [to the ground|from the shelf|down the stairs] and broke in two.",
]
MEND = [
    "{a_helper} [offered to help|knew what to do]. Together they [worked until sunset|glued and tied and polished|tried again and again].",
    "{name} asked {a_helper} for help, and they worked [side by side|all night|for three days].",
]
MENDED = [
    "When they had finished, {the_obj} was [even better than before|as good as new|whole again].",
    '"[Look, it works|There, it is done]!" said {helper}, and {the_obj} was [whole again|as good as new].',
]
WAIT = [
    "Every {time}, {name} [sat there|waited there] with {the_obj} and [watched the road|looked out for a friend|counted the clouds].",
    "{name} had made a promise: {she} would wait with {the_noun} until {his} [brother|sister|friend|father] came back.",
]
DOUBT = [
    '"[Nobody will come|You are wasting your time]," said {a_helper}. But {name} [shook {his} head|only smiled|stayed].',
    "{a_helper} [brought soup and bread|sat down beside {him}] and asked why {she} was waiting. {name} told the whole story.",
]
REUNION = [
    "Then, one {weather2} {time2}, [somebody waved from far away|there were footsteps on the path|a voice called {his} name]. The waiting was over.",
    "And when the {season2} came, a [small cart|grey boat|tired traveller] appeared at last, and {name} [ran|jumped up] to meet it with open arms.",
]
DOOR = [
    "Behind a [curtain of ivy|heap of stones|row of barrels], there was a [small door|narrow gate|low hatch] that {she} had never [seen|noticed] before.",
    "{the_obj} had [a secret|a strange mark], and the same [secret|mark] was [carved|painted] on a door nearby.",
]
OPEN = [
    "{helper} [pushed|knocked] and {name} [held|raised] {the_obj}, and [slowly|with a creak] the door [opened|swung open].",
    '"[Shall we|Are you ready]?" asked {helper}. {name} nodded, took {the_obj} and [opened the door|stepped inside].',
]
TREASURE = [
    "Inside they found [a room full of books|a garden nobody knew|a hundred painted birds|a table laid for two], [quiet and golden|waiting for someone|more beautiful than they had dreamed].",
    "There was no gold behind it, but [a view over the whole land|a room full of music|a warm fire and two chairs], and that was better.",
]

BORROW = [
    '"[May I borrow|Would you lend me] {the_noun} until tomorrow?" asked {a_helper}. {name} [thought about it|hesitated], and then said yes.',
    "One day {a_helper} came and asked to borrow {the_noun}. {name} did not like to say no.",
]
AWAKE = [
    "That night {name} could not sleep. What if {the_obj} never came back?",
    "But the next day passed, and the day after that, and {name} grew {sad}.",
    "{name} [waited|looked out of the window] all day long and felt {sad}.",
]
RETURNED = [
    "But [early the next|one {weather2}] {time2}, {helper} stood at the door with {the_obj} and [a basket of plums|a warm loaf|a bunch of flowers].",
    '"[Here it is|I am sorry that it took so long]," said {helper}, and {the_obj} [shone|looked] [like new|better than ever].',
]
BARGAIN = [
    '"What do you want for {the_noun}?" asked {a_helper}. "It is not for sale," said {name}.',
    "{a_helper} wanted to buy {the_obj} and offered [five coins|a sack of flour|a fat goose|a barrel of honey]. {name} said no.",
]
OWNER_NO = [
    '"It belongs to nobody," said {helper}. "[It has always been here|It came with the wind|Someone left it here long ago]."',
    '{helper} [looked puzzled|thought for a while]. "[I have never seen it before|I do not know]. But it [looks at home|fits well] here."',
]
MEAL = [
    "So they [sat down together|lit a small fire], shared [bread and cheese|a bowl of soup|a cake] and [told each other stories|sang old songs] until [midnight|the stars came out].",
    "Then {helper} [fetched a bench|lit a fire|made tea], and they [watched the clouds|talked about old times|played a game] until it was late.",
]
SHARED = [
    "Instead they [sat down together and told each other stories|lit a small fire and sang old songs] until [midnight|the stars came out].",
    '"Then tell me its story," said {helper}. And {name} told {helper} where {the_obj} came from.',
]
THIEF = [
    "A [magpie|gust of wind|cheeky squirrel] had [carried it off|snatched it away] before {name} could [blink|cry out].",
    "{name} felt {sad}. {She} had only [closed {his} eyes for a moment|turned around once], and now {the_obj} was gone.",
]
WITNESS = [
    '"I saw where it went," said {helper}. "[Follow me|Come quickly]!"',
    "{helper} had seen everything and [led the way|showed {him} the tracks].",
]
RECOVERED = [
    "[High up in a nest|On top of a roof|Deep in a hollow tree] they found {the_obj}, [safe and dry|a little dusty|not even scratched].",
    "They [crept|climbed|crawled] closer, and there was {the_obj}! {name} [laughed with relief|hugged {helper}].",
]

END_KEPT = [
    "{name} kept {the_obj} for many years and never forgot {place}.",
    "That night, {name} slept [well|soundly], and {the_obj} lay beside {him}, far from {place}.",
    "And whenever {name} [came back to|passed] {place}, {she} had {the_obj} with {him}.",
    '"I will never let go of {the_obj} again," said {name}, and {place} lay [quiet|golden|silent] behind {him}.',
    "When {name} was old, {she} still had {the_obj} and still dreamed of {place}.",
    "{name} took {the_obj} home, {happy} and [tired|a little wiser], and told everyone about {place}.",
]
END_GIVEN = [
    "{name} went home {happy}, and {the_obj} stayed with {helper}. They often met again {at_place}.",
    "From then on, {name} and {helper} were friends, and {the_obj} reminded them of {place}.",
    '"Keep {the_obj}," said {name}. "It belongs here." And {helper} waved from {place} until {name} was out of sight.',
    "{helper} [hung|put] {the_obj} [over|beside] the door, and {name} came back to {place} every {season} to see it.",
    "{name} walked home {happy}, without {the_obj}, but with a new friend {at_place}.",
]
END_LEFT = [
    "{name} left {the_obj} {at_place}, where everyone could see it, and went home {happy}.",
    "So {the_obj} stayed {at_place}, and {name} was {happy} whenever {she} thought of it.",
    "And if you ever come to {place}, look for {the_obj}: it is still there, and people still speak of {name}.",
    "{the_obj} is still {at_place} today, and {name} visits it every {season}.",
]

PLOTS = [
    Plot("found", FOUND, [WONDER, MEET, ASK_OWNER, OWNER_YES], END_GIVEN,
         "{name} found {a_obj} {at_place} and gave it back to {a_helper}."),
    Plot("found", FOUND, [WONDER, DOOR, MEET, OPEN, TREASURE], END_KEPT,
         "{name} found {a_obj} {at_place} and opened a secret door with {a_helper}."),
    Plot("found", FOUND, [WONDER, STORM, RESCUE, SAVED], END_KEPT,
         "{name} found {a_obj} {at_place} and saved {a_helper} with it."),
    Plot("lost", LOST, [SEARCH, MEET, ASK_HELP, OBSTACLE, FOUND_AGAIN], END_KEPT,
         "{name} lost {a_obj} {at_place}, and {a_helper} helped to find it again."),
    Plot("lost", LOST, [THIEF, MEET, WITNESS, OBSTACLE, RECOVERED], END_KEPT,
         "{name} lost {a_obj} {at_place}, and {a_helper} knew where it was."),
    Plot("carried", BROUGHT, [BARGAIN, SHARED], END_KEPT,
         "{name} carried {a_obj} to {place} and would not sell it to {a_helper}."),
    Plot("carried", BROUGHT, [BARGAIN, SHARED, GIFT], END_GIVEN,
         "{name} carried {a_obj} to {place} and gave it to {a_helper}."),
    Plot("kept", KEPT, [BORROW, AWAKE, RETURNED], END_KEPT,
         "{name} kept {a_obj} {at_place} and lent it to {a_helper}."),
    Plot("found", FOUND, [WONDER, MEET, ASK_OWNER, OWNER_NO, MEAL], END_LEFT,
         "{name} found {a_obj} {at_place} and left it there for everyone."),
    Plot("lost", LOST, [SEARCH, MEET, ASK_HELP, FOUND_AGAIN], END_LEFT,
         "{name} lost {a_obj} {at_place}, found it again with {a_helper} and left it there."),
    Plot("carried", BROUGHT, [GIFT_PLAN, JOURNEY, GIFT], END_GIVEN,
         "{name} carried {a_obj} to {place} and gave it to {a_helper}."),
    Plot("carried", BROUGHT, [FAIR, LAUGHED, PRAISED, PRIZE], END_KEPT,
         "{name} carried {a_obj} to {place} and won a prize."),
    Plot("carried", BROUGHT, [STORM, RESCUE, SAVED], END_LEFT,
         "{name} carried {a_obj} to {place} and saved {a_helper} with it."),
    Plot("kept", KEPT, [BROKEN, MEND, MENDED], END_LEFT,
         "{name} kept {a_obj} {at_place}, and {a_helper} mended it when it broke."),
    Plot("kept", KEPT, [WAIT, DOUBT, REUNION], END_LEFT,
         "{name} kept {a_obj} {at_place} and waited there for a long time."),
    Plot("kept", KEPT, [STORM, RESCUE, SAVED], END_GIVEN,
         "{name} kept {a_obj} {at_place} and saved {a_helper} with it."),
]

# How the four verbs are asked about.
ASKED = {"found": "find", "lost": "lose", "carried": "carry", "kept": "keep"}
THIRD_PERSON = {"found": "finds", "lost": "loses", "carried": "carries", "kept": "keeps"}

REQUESTS = [
    "[Tell|Please tell] me a [short |little |]story about {name}, {a_obj} and {place}.",
    "Can you tell me a [short |little |]story about {name}, {a_obj} and {place}?",
    "[Write|Please write|Make up] a story about {name}, {place} and {a_obj}.",
    "Can I have a story [where|in which] {name} has {a_obj} {at_place}?",
    "Do you know a story about {name}, {a_obj} and {place}?",
    "I would like a story with {name}, {a_obj} and {place}.",
    "A story about {name}, {a_obj} and {place}, please.",
    "Tell me about {name} and {a_obj} {at_place}.",
    "{name}, {a_obj}, {place}: tell me a story.",
]
REQUESTS_VERB = [
    "[Tell|Please tell] me [a|another] story about {name}, who {verbs} {a_obj} {at_place}.",
    "[Tell|Please tell] me a story about {a_kind} called {name} who {verbs} {a_obj} {at_place}.",
    "Tell me what happened when {name} {verb} {a_obj} {at_place}.",
]
REQUESTS_CARRY = [
    "[Tell|Please tell] me [a|another] story about {name}, who carries {a_obj} to {place}.",
    "Tell me a story about {a_kind} called {name} who carries {a_obj} to {place}.",
    "Tell me what happened when {name} carried {a_obj} to {place}.",
]
CONTINUE = ["[Continue|Finish|Go on with] [this|the] story: {opening}", "How does this story go on? {opening}"]
# Requests that leave something to the storyteller.
REQUESTS_OPEN = [
    "[Tell|Please tell] me a [short |]story about {name}[.|, please.]",
    "[Tell|Please tell] me a story about {name} and {a_obj}.",
    "Tell me a story that happens {at_place}.",
    "Tell me a story about {a_obj}.",
    "[Tell me a story|Please tell me a story|I would like a story|A story, please].",
]
FRIEND_ASIDE = ["[Include|Put in] {his} friend {friend}.", "{His} friend {friend} should be in it.", "{friend} is {his} friend."]
FRIEND_OPENING = ["{His} friend {friend} was [not far away|never far away|close by].", "{friend} was {his} best friend."]

SYSTEM = [
    "You are a helpful assistant.",
    "You are [Baton's tiny storyteller|a storyteller|a friendly assistant].",
    "Answer [briefly|kindly|in plain words].",
]

SMALL_TALK = [
    (["Who are you?", "What are you?", "What is your name?", "Tell me about yourself."],
     ["I am Baton's tiny storyteller, a very small language model [that tells short stories|that likes short stories].",
      "I am Baton's tiny storyteller. I [tell short stories|write short stories] and answer questions about them."]),
    (["What can you do?", "How can you help me?", "What should I ask you?"],
     ["Give me a name, a thing and a place, and I will tell you a story. You can also ask me about it.",
      "I tell short stories. Name a character, an object and a place, and I will begin."]),
    (["Hello!", "Hi!", "Good morning!", "Hello, how are you?", "Good evening!"],
     ["Hello! [Would you like a story|Shall I tell you a story]? Give me a name, a thing and a place.",
      "Hello! I am Baton's tiny storyteller. [Who should the story be about|What should the story be about]?"]),
    (["Thank you!", "Thanks!", "That was a nice story.", "Thank you for the story."],
     ["You are welcome! [Come back for another story any time|I am glad you liked it].", "I am glad you liked it. Would you like another one?"]),
    (["Goodbye!", "Good night!", "See you tomorrow!"],
     ["Goodbye! [Sleep well|Take care], and come back for another story.", "Good night! May your dreams be full of stories."]),
    (["What is Baton?", "What does Baton do?", "Do you know Baton?"],
     ["Baton is a cluster that serves language models on ordinary machines. I am its tiny storyteller.",
      "Baton passes a prompt from one worker to the next, like runners in a relay. I am its tiny storyteller."]),
    (["Are you a big model?", "How big are you?", "How many parameters do you have?"],
     ["I am very small: a few million parameters. That is enough for [a short story|short stories].",
      "No, I am tiny. I only know short stories, but I know them well."]),
    (["Can you do maths?", "What is the capital of France?", "Who won the match yesterday?", "What time is it?"],
     ["I only know short stories. Ask me for one!", "I do not know. I am a tiny storyteller, and stories are all I know."]),
]
