"""The words of the demo stories: names, places, things, animals, trades, verbs, adjectives.

Plain data and the little morphology that it needs. Nothing here imports torch, and nothing here is
random: the generator draws from these tuples with a generator that is passed in.
"""

from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FEMALE = _words(
    """
    Ada Alma Amy Anna Bella Beth Bianca Carla Cora Daisy Dora Edith Elena Ella Elsa Emma Esther
    Eva Faye Fiona Flora Freya Gina Grace Greta Hanna Hazel Heidi Helen Hilda Ida Ines Ingrid
    Irene Iris Ivy Jane Jenny Joan Julia June Karen Kate Kira Lana Laura Lena Lily Lisa Lucy Luna
    Mara Maria Martha Maya Mia Mina Molly Mona Nadia Nancy Nell Nina Nora Olga Olive Paula Pearl
    Petra Polly Rita Rosa Ruby Ruth Sally Sara Selma Sofia Stella Susan Tessa Tina Ursula Vera
    Viola Wanda Wendy Yara Zara Zoe
    """
)
MALE = _words(
    """
    Adam Alan Albert Andrew Anton Arthur Ben Bernard Boris Bruno Carl Cedric Clark Colin Daniel
    David Dennis Dylan Edgar Edwin Eli Eric Ernest Felix Finn Frank Fred Gavin George Gilbert
    Gordon Gus Harold Harry Hector Henry Hugo Ian Isaac Ivan Jack Jacob James Jasper Joel John
    Jonas Karl Keith Kevin Lars Leo Liam Louis Luke Marco Martin Max Milo Nathan Neil Noah Norman
    Oliver Omar Oscar Otto Owen Paul Peter Philip Quentin Ralph Ray Robert Roger Rowan Rufus
    Samuel Scott Simon Stefan Ted Theo Thomas Tim Toby Tom Victor Vincent Walter William Xavier
    Zack
    """
)
PETS = _words(
    """
    Biscuit Bramble Bubbles Button Captain Clover Comet Cookie Domino Dusty Fang Flash Fluffy
    Ginger Gizmo Goldie Jumbo Marble Mittens Muffin Nibbles Nugget Patch Pebble Pepper Pickle
    Pippin Pumpkin Rascal Rusty Scout Shadow Smoky Snowball Socks Spark Spot Sprout Thunder Tiger
    Truffle Turbo Twiggy Waffles Whiskers Wolfie Zigzag Ziggy
    """
)
TOWNS = _words(
    """
    Amberly Ashford Barton Birchwood Blackmoor Brightwell Brookside Cliffton Coldwater Crowhill
    Dalton Deepdale Dunmore Eastport Elmhurst Fairview Fernley Foxham Glenmore Goldcrest Greenford
    Hartwell Hillcrest Holmwood Kingsley Lakewood Larkhill Linden Longbridge Marlow Meadowby
    Millbrook Moorgate Newhaven Northby Oakton Oldcastle Orchardton Pinehurst Ravenswood Redcliff
    Riverton Rosefield Saltmarsh Sandbury Seaford Silverlake Southwick Springfield Stonebridge
    Summerhill Swanmere Thornton Westbrook Whitby Willowdale Winterton Woodstock
    """
)
# By the preposition that stands before them; a place takes only one.
PLACES_IN = _words(
    """
    garden kitchen barn cellar forest village library school museum market harbour castle church
    tower cave valley meadow park shed attic bakery office hall tent stable theatre hospital
    orchard courtyard tunnel bedroom pantry workshop greenhouse chapel garage hotel laundry palace
    prison studio temple
    """
)
PLACES_ON = _words("table roof hill bridge shelf island beach balcony terrace stairs porch pier")
PLACES_AT = _words(
    """
    station airport well gate lake corner crossroads fountain mill factory zoo inn
    """
)

THINGS = _words(
    """
    anchor apron arrow axe bag ball balloon banner barrel basin basket bell belt bench bike
    blanket boat book boot bottle bowl box bracelet brick broom brush bucket button cake camera
    candle cannon canoe card carpet cart chain chair chest clock coat coin comb compass cradle
    crate crown cup curtain cushion desk diary doll door drawer dress drum engine envelope fan
    feather fence flag flower flute fork frame glass glove guitar hammer hat helmet hook horn
    jacket jar jewel jug kettle key kite knife ladder lamp lantern leaf lens letter lock loom map
    mask mat medal mirror mitten mug nail napkin necklace needle net oar oven paddle pan parcel
    pen pencil photo piano pillow pin pipe plate plough pot pouch puppet puzzle quilt rake rattle
    ribbon ring robe robot rod rope ruler sack saddle sail saw scarf scroll shawl shell shield
    shirt shoe shovel sledge sock spade spear spoon stamp statue stick stone stool stove suitcase
    sweater sword tablet teapot telescope ticket tile tool torch towel toy tray trumpet trunk tube
    umbrella vase veil vest violin wagon wallet watch wheel whistle wig window wreath
    """
)
FOODS = _words(
    """
    apples apricots beans berries biscuits buns carrots cherries chestnuts chips cucumbers dates
    dumplings eggs figs grapes lemons lentils mangoes melons mushrooms noodles nuts olives onions
    oranges pancakes peaches pears peas pies plums potatoes radishes raisins sandwiches sausages
    scones sweets tarts tomatoes turnips walnuts
    """
)
ANIMALS = _words(
    """
    ant bat bear beaver bee beetle bird bull camel cat chicken cow crab crow dog donkey dove duck
    eagle elephant fox frog goat goose hamster hare hawk hen horse lamb lion lizard monkey mole
    mouse otter owl ox panda parrot peacock pig pigeon pony rabbit rat raven rooster seal snail
    snake sparrow spider squirrel swan toad turkey turtle wasp whale wolf worm
    """
)
TRADES = _words(
    """
    actor artist author baker banker barber builder butcher captain carpenter cleaner clerk clown
    coach cook dancer dentist doctor driver farmer fisher gardener guard guide hunter jeweller
    judge king knight lawyer mayor merchant miller miner monk musician nurse officer painter pilot
    pirate plumber poet porter potter priest printer sailor scholar shepherd singer smith soldier
    spy student tailor teacher thief waiter weaver wizard writer
    """
)
KIN = _words("girl boy woman man child aunt uncle neighbour friend guest cousin stranger lady")
# People whose reflexive pronoun the noun decides; a poet or a friend may be either.
GENDERED = {
    "girl": "herself", "woman": "herself", "aunt": "herself", "lady": "herself",
    "boy": "himself", "man": "himself", "uncle": "himself", "king": "himself",
    "monk": "himself", "priest": "himself",
}  # fmt: skip

COLOURS = _words(
    """
    red blue green yellow black white brown grey pink purple orange golden silver violet crimson
    scarlet
    """
)
THING_ADJECTIVES = _words(
    """
    big small old new heavy light broken clean dirty shiny dusty round square flat long short
    thick thin wooden iron plastic paper glassy cheap precious strange plain pretty ugly fancy
    rusty sharp soft hard smooth rough warm cold wet dry empty full narrow wide tiny huge ancient
    modern painted striped torn famous
    """
)
LIVING_ADJECTIVES = _words(
    """
    angry brave busy calm careful cheerful clever clumsy curious eager fast fierce friendly funny
    gentle grumpy happy hungry jealous kind lazy lonely loud lucky merry nervous noisy patient
    polite proud quick quiet rude sad shy silly sleepy slow strong stubborn thirsty tired weak
    wise worried young
    """
)
ADVERBS = _words(
    """
    again badly bravely carefully daily early gladly happily late loudly often outside quickly
    quietly rarely sadly slowly softly suddenly there today together twice upstairs well
    """
)
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
SEASONS = _words("spring summer autumn winter")
TIMES = _words("morning evening afternoon night day")
WEATHER = _words("cold warm rainy windy sunny foggy stormy snowy cloudy bright dark quiet")
NUMBERS = _words(
    """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty
    """
)
NEAR = _words("near behind beside above below opposite")

# base, third person, past, -ing: only what the spelling rules below cannot know
_IRREGULAR_VERBS = """
    sleep sleeps slept sleeping, run runs ran running, sing sings sang singing,
    swim swims swam swimming, sit sits sat sitting, stand stands stood standing,
    fall falls fell falling, weep weeps wept weeping, speak speaks spoke speaking,
    fly flies flew flying, shake shakes shook shaking, rise rises rose rising,
    think thinks thought thinking, kneel kneels knelt kneeling, freeze freezes froze freezing,
    shine shines shone shining, find finds found finding, see sees saw seeing,
    hold holds held holding, keep keeps kept keeping, catch catches caught catching,
    bring brings brought bringing, buy buys bought buying, sell sells sold selling,
    hide hides hid hiding, lose loses lost losing, take takes took taking,
    steal steals stole stealing, draw draws drew drawing, break breaks broke breaking,
    choose chooses chose choosing, feed feeds fed feeding, lead leads led leading,
    forget forgets forgot forgetting, meet meets met meeting, throw throws threw throwing,
    wear wears wore wearing, teach teaches taught teaching, bite bites bit biting,
    hear hears heard hearing, leave leaves left leaving,
    hurt hurts hurt hurting, cut cuts cut cutting
"""
INTRANSITIVE = _words(
    """
    sleep run sing swim sit stand fall weep speak fly shake rise think kneel freeze walk jump
    laugh smile dance work rest wait play shout whisper talk climb crawl yawn sneeze snore listen
    wander travel hurry tremble grumble giggle whistle sigh nod bow cough cry complain dream
    fidget float frown gallop groan hop hum march pray skip slip stretch sweat vanish wave wobble
    """
)
TRANSITIVE = _words(
    """
    find see hold keep catch bring buy sell hide lose take steal draw break choose feed lead
    forget meet throw teach bite hear watch follow help visit call chase push pull clean paint
    carry wash count love admire praise greet fear remember touch kick lift drag drop guard hate
    ignore miss notice order polish protect repair save scare search surprise tease thank trust
    want warn welcome
    """
)
# Verbs that take a person or an animal and not a thing read better with such objects.
LIVING_OBJECT = _words(
    """
    feed lead meet teach bite hear watch follow help visit call chase love admire praise greet
    fear remember scare surprise tease thank trust warn welcome see ignore miss notice protect
    guard hate
    """
)
REFLEXIVE = _words(
    """
    wash see help hurt praise surprise teach trust watch admire blame warn scare protect draw
    paint introduce dress enjoy cut
    """
)
_DOUBLING = frozenset(("hop", "hum", "nod", "skip", "slip", "drag", "drop"))
_IRREGULAR_PLURALS = {
    "man": "men", "woman": "women", "child": "children", "mouse": "mice", "goose": "geese",
    "ox": "oxen", "wolf": "wolves", "thief": "thieves", "knife": "knives", "leaf": "leaves",
    "shelf": "shelves", "scarf": "scarves", "wife": "wives",
}  # fmt: skip
IRREGULAR_NOUNS = tuple(sorted(_IRREGULAR_PLURALS.keys() - {"shelf", "wife"}))


@dataclass(frozen=True, slots=True)
class Verb:
    """The four forms of a verb that the stories use."""

    base: str
    third: str
    past: str
    ing: str


def plural(noun: str) -> str:
    """Return the plural of a noun of the lexicon."""
    if noun in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def article(word: str) -> str:
    """Return ``an`` before a vowel letter, else ``a`` (the lexicon holds no exceptions)."""
    return "an" if word[0] in "aeiou" else "a"


def _regular(base: str) -> Verb:
    if base.endswith("y") and base[-2] not in "aeiou":
        return Verb(base, base[:-1] + "ies", base[:-1] + "ied", base + "ing")
    third = base + ("es" if base.endswith(("s", "x", "ch", "sh")) else "s")
    if base.endswith("e"):
        return Verb(base, third, base + "d", base[:-1] + "ing")
    stem = base + base[-1] if base in _DOUBLING else base
    return Verb(base, third, stem + "ed", stem + "ing")


def _all_verbs() -> dict[str, Verb]:
    rows = _IRREGULAR_VERBS.split(",")
    table = {row.split()[0]: Verb(*row.split()) for row in rows}
    for base in INTRANSITIVE + TRANSITIVE + REFLEXIVE:
        table.setdefault(base, _regular(base))
    return table


VERBS = _all_verbs()
PLACES = tuple(
    (preposition, place)
    for preposition, places in (("in", PLACES_IN), ("on", PLACES_ON), ("at", PLACES_AT))
    for place in places
)
LIVING = ANIMALS + TRADES + KIN
ADJECTIVES = COLOURS + THING_ADJECTIVES + LIVING_ADJECTIVES
NAMES = FEMALE + MALE
FUNCTION_WORDS = _words(
    """
    a about after all always an and any are as asked at away be because before behind belongs both
    but by called came can come comes coin coins colour cost costs could did do does down each
    every everyone few for from gave give go goes had has have he her here hers herself him
    himself his how I in is it itself job likes like live lives like many much my near never no
    nobody not now of old on one or our out over own owns quite really remember said say says she
    should so some somebody soon still story several that the their them themselves then there
    these they this those times to told too under until very was went were what when where which
    while who why will with without works would years yes you your called true went gone moved
    next later today yesterday once upon time works answer question wants own whose pet animal
    picked up as know knows we again
    """
)
PUNCTUATION = (".", ",", "?", "!", ":", "“", "”", "'s")


def vocabulary() -> tuple[str, ...]:
    """Return every word form of the stories, sorted; the tokenizer is built from it."""
    words: set[str] = set(FUNCTION_WORDS)
    for noun in THINGS + LIVING + tuple(place for _, place in PLACES):
        words |= {noun, plural(noun)}
    for verb in VERBS.values():
        words |= {verb.base, verb.third, verb.past, verb.ing}
    for group in (FOODS, ADJECTIVES, ADVERBS, SEASONS, TIMES, WEATHER, NUMBERS, NEAR):
        words |= set(group)
    # Sentences open with function words, numbers and names; names are capitalised as they are.
    words |= {word.capitalize() for word in FUNCTION_WORDS + NUMBERS}
    for proper in (NAMES, PETS, TOWNS, DAYS, PUNCTUATION):
        words |= set(proper)
    return tuple(sorted(words))
