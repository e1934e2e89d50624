"""The word lists of the corpus: names, places, objects, people, weather, feelings."""


def split(text: str) -> list[str]:
    return text.split()


# Characters with a fixed pronoun. Thousands more are composed from syllables in corpus.py.
GIRLS = split("""
    Mira Anna Ada Alma Amina Asha Astrid Aya Beatrice Bela Berta Bianca Birgit Carla Cecilia Chiara Clara Cora Dalia
    Daria Delia Dina Dora Edith Elena Elif Elin Elisa Ella Elsa Emma Erika Esther Eva Fatima Fiona Flora Frida Gerda
    Gina Greta Hanna Hazel Heidi Helga Hilda Ida Ilse Ines Ingrid Irene Iris Isa Ivy Jana Jasmin Jenny Joana Judith Julia
    Kaya Karin Katja Kira Klara Lara Laura Lea Leila Lena Lilian Lina Linnea Lisa Livia Lotte Lucia Luna Lydia Maja Malin
    Marga Maria Marta Matilda Maya Mei Melina Merle Mila Mina Miriam Mona Nadia Naomi Nela Nina Nora Olga Olivia Paula
    Petra Pia Polly Rahel Rana Rosa Rosalie Ruth Sabine Sally Salma Samira Sara Selma Signe Silke Sina Sofia Sonja Stella
    Susan Tamara Tara Tessa Thea Tilda Tina Tove Ulla Ursula Vera Viola Wanda Wilma Yara Yasmin Yuki Zara Zoe Zora
""")
BOYS = split("""
    Tom Aaron Adam Alan Albert Amir Anton Arne Arthur Axel Bastian Ben Bernd Boris Bruno Carl Caspar Colin Conrad Cyrus
    Daniel David Dario Dirk Edgar Edwin Elias Emil Enzo Eric Erwin Felix Finn Florian Frank Fred Gabriel George Goran
    Gregor Gustav Hakan Hannes Harald Harry Hassan Hector Henrik Henry Hugo Ian Igor Isaac Ismael Ivan Jack Jakob Jan
    Jasper Jens Joel John Jonas Jonathan Jorge Josef Julian Jun Kai Karim Karl Kasimir Kenji Kilian Klaus Knut Konrad
    Lars Laszlo Leo Leon Levi Liam Linus Lorenz Louis Luca Lukas Magnus Malik Marco Mario Marius Markus Martin Mateo
    Matti Max Milan Milo Moritz Nils Noah Noel Nuri Olaf Oleg Oliver Omar Oscar Otto Owen Pablo Patrick Paul Pavel Peer
    Pelle Peter Philip Quentin Rafael Ralf Ravi Remo Rico Robert Robin Roland Ruben Rufus Sami Samuel Sascha Simon Stefan
    Sven Tariq Theo Thomas Till Timo Tobias Tristan Udo Umar Valentin Viktor Vincent Walter Wendel Wim Yusuf Zeno
""")

# Syllables of composed names: start + middle (sometimes) + an ending that tells the pronoun.
NAME_STARTS = split("""
    Al Ar Bal Bel Bir Bor Bra Cal Cor Dal Dar Del Dor El Er Fal Fen Fir Gal Gar Gil Hal Har Hel Il Ir Jal Jor Kal Kel Kir
    Lan Lor Lum Mal Mar Mel Mor Nal Nel Nor Ol Or Pal Pel Per Quil Ral Ren Rol Sal Sel Sil Sor Tal Tar Tel Tor Ul Val Vel
    Ver Vor Wal Wen Wil Yor Zal Zel
""")
NAME_MIDDLES = split("a e i o u an en in on ar er ir or al el il ol ad ed id im om us ev iv")
GIRL_ENDINGS = split("da la ma na ra sa va ya lia nia ria lina dora mira vina")
BOY_ENDINGS = split("do ko lo mo ro to bert dan dor gon mund nik ric rik rin son tan ton vin")

# Places, each with the preposition for being there.
PLACES = {
    "in": split("""
        mill forest bakery orchard garden library tower barn meadow cave castle chapel workshop attic cellar valley square
        greenhouse quarry windmill stable marsh museum theatre park observatory boathouse vineyard cabin hut temple kitchen
        shipyard smithy courtyard tunnel tent palace schoolhouse dairy bookshop wood desert village brewery hayloft
    """),
    "at": split("harbour lighthouse market station school inn crossroads ferry fair farm gatehouse port monastery mine"),
    "by": split("river well pond lake waterfall canal spring fountain sea stream gate fireplace wall"),
    "on": split("bridge island hill beach pier cliff mountain roof balcony road terrace jetty dune"),
}
PLACE_ADJECTIVES = split("""
    old quiet empty windy narrow ruined hidden crooked sleepy mossy sunny foggy stone little northern forgotten busy
    abandoned snowy golden green dusty grey lonely ancient frozen southern wild eastern western
""")
TOWN_STARTS = split("Oster Vel Brim Hol Kar Lind Mar Nor Os Pen Rav Sal Tarn Ul Wes Ash Bro Cran Dun El Fal Grim Har Thorn")
TOWN_ENDINGS = split("den burg wick ford mouth stad holm by ham field dale stone haven bridge vik wold")

# Objects by what they are made like, so that the adjectives fit.
OBJECTS = {
    "metal": split("""
        key lantern bell ring whistle compass spoon coin watch mirror button thimble telescope teapot kettle anchor lock
        needle cup crown bracelet clock trumpet medal pan horseshoe hammer pocketknife lamp weathercock
    """),
    "cloth": split("""
        scarf blanket ribbon cloak hat mitten flag kite sail pillow coat quilt rope bag apron shawl sock tent carpet glove
    """),
    "wood": split("""
        flute boat box drum chair ladder wheel puppet oar cart sled fiddle chest bowl stick raft bucket broom whip top
        bench barrel frame
    """),
    "small": split("""
        map letter book notebook picture feather shell stone seed candle jar bottle marble bead pebble acorn postcard
        ticket chestnut apple pear loaf cake pie egg vase
    """),
}
OBJECT_ADJECTIVES = {
    "metal": split("brass silver copper golden iron tin bronze rusty shiny heavy tiny dented polished"),
    "cloth": split("red blue green yellow white black purple woollen soft striped patched faded velvet warm linen"),
    "wood": split("wooden painted carved red blue green broken crooked little light oak birch cherry old"),
    "small": split("white blue red yellow green smooth strange round tiny old speckled shiny brown"),
}
MATERIALS = set(split("brass silver copper golden iron tin bronze woollen velvet linen wooden oak birch cherry"))
COLOURS = set(split("red blue green yellow white black purple brown golden silver"))

# Heroes that are not simply a child: what the prompt may call them.
TRADES = split("baker sailor gardener carpenter weaver shepherd painter fiddler potter miller cook clockmaker farmer pilot")
ANIMALS = split("fox hare badger otter mouse squirrel hedgehog sparrow goose bear cat dog frog owl raven beaver deer donkey")

# Helpers stay unnamed unless the prompt names a friend: a name in an answer always comes from the prompt.
HELPER_ADJECTIVES = split("old kind young tall friendly patient grumpy clever shy cheerful quiet wise")
HELPERS = split("""
    fisherman baker miller shepherd sailor gardener postman smith carpenter weaver ferryman librarian teacher shoemaker
    musician farmer beekeeper heron owl crow badger goat hedgehog turtle cat dog mole swan donkey beaver
""")

WEATHERS = split("rainy sunny windy foggy snowy cold warm stormy cloudy frosty bright misty")
TIMES = split("morning evening afternoon night")
MONTHS = split("spring summer autumn winter")
HAPPY = split("happy proud glad thankful cheerful content delighted")
SAD = split("sad worried lonely afraid nervous unhappy anxious")
