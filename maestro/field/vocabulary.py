"""The words that say little: stopwords, a graded list of common words of research prose, suffixes, common pairs.

Written from what abstracts of any field have in common, not counted in a corpus: a fixed stand-in for inverse document
frequency, so that a score never moves because other documents came or went.
What is not here: code. `text` reads these.
"""

STOPWORDS = """
a about above across after again against all almost along already also although always am among an and another
any anything are around as at away back be became because become been before being below between both but by
came can cannot come could did do does doing done down during each either else enough etc even ever every
everything few find first follow for found from further get give given go goes good had has have having he her
here high him his how however i if in instead interested into is it its itself just keep kind know known least
less let like little look made mainly make makes many may me might more most much must my near need needs
neither never new news next no nor not nothing now of off often on once one only onto or other others our out
over own per please put quite rather really recent recently same say see seen several shall she should show
shows since so some something soon still such take than that the their them then there therefore these they
thing things this those though through thus to together too toward towards two under until up upon us use used
useful uses using usually various very via want was watch way ways we well were what when where whether which
while who whole whom whose why will with within without work works would yet you your
"""

HARDLY_TELLING = """
achieve analysis approach article author demonstrate effective effectively existing experiment experimental
experiments introduce method methodology methods novel paper present previous problem propose proposed research
result results show significant study work
"""  # every abstract has them

LITTLE_TELLING = """
ai algorithm algorithms answer application applications art artificial based case cases challenge challenges
condition conditions data dataset datasets deep design develop development develops different effect effects
evaluate evaluation example form framework general high human humans important improve improved improving
increase information intelligence large learn learned learning low machine ml model modeling models network
networks neural number performance process processing properties property question questions real reduce set
small state system systems task tasks technique techniques test tests time train trained training type world
"""  # every third abstract of any computing field

SOME_TELLING = """
accuracy area attention automatic benchmark classification classify complex computer context cost detect
detection digital document documents domain domains efficiency efficient embedding embeddings enhance
enhancement environment environments expert experts feature features field function functions generate
generation generative input interaction knowledge level measure online optimisation optimise optimization
optimize output practice predict predicting prediction predictive quality recognise recognition recognize
representation review robust robustness scale score service software space strategy structure support survey
technology tool tools transformer transformers understand understanding user users value values
"""  # name a kind of job, not a topic

HALF_TELLING = """
agent agents augment augmentation causal control cross decision distribution explain explainable explanation
explanations exploration fake graph graphs ground image images linear memory multi natural outcome outcomes
physical plan planning pre rate search self sequence sequential series signal signals simulation single
statistical temporal text true uncertainty video
"""  # a topic only together with another word

COMMON_PAIRS = """
machine learning, deep learning, neural network, language model, large language, foundation model, pre trained,
fine tuning, artificial intelligence, real world, open source, data driven, case study, learning model, model training,
computer science, time series, computer vision, natural language
"""  # side by side they say hardly more than apart

SUFFIXES = """
ational ations ation ative ating ated ate ator ators izations ization isations isation izers izer isers iser
izing ising ized ised ize ise ings ing edly ed ers er ors or ments ment iveness ive ities ity ically ical ials
ial ally als al ly ably able ibly ible ances ance ences ence ness fully ful ions ion ians ian ines ine ics ic
ists ist isms ism is es e s y ies
"""

NEVER_STEMMED = """
general generally series analysis basis news species several
"""  # their stems collide with other words ("gener" is generation) or mislead
