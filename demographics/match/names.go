package match

import "strings"

// Sound is how a folded name sounds in English, as Soundex has it once spellings that are said alike are written alike: "smyth"
// and "smith", "macdonald" and "mcdonald", "catherine" and "katherine" give the same. A name without a Latin letter is
// its own sound.
func Sound(name string) string {
	b := make([]byte, 0, maxText)
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= 'a' && c <= 'z' {
			b = append(b, c)
		}
	}
	if len(b) == 0 {
		return name
	}
	s := string(b)
	for _, r := range respelt {
		if rest, ok := strings.CutPrefix(s, r[0]); ok {
			s = r[1] + rest
			break
		}
	}
	return Soundex(silent.Replace(s))
}

// respelt are beginnings and how they are said.
var respelt = [...][2]string{
	{"mac", "mc"}, {"ph", "f"}, {"kn", "n"}, {"gn", "n"}, {"wr", "r"}, {"ps", "s"}, {"rh", "r"}, {"wh", "w"}, {"x", "s"}, {"z", "s"},
	{"ce", "se"}, {"ci", "si"}, {"cy", "si"}, {"ge", "je"}, {"gi", "ji"}, {"k", "c"}, {"q", "c"}, {"y", "i"}, {"j", "j"}, {"hugh", "hu"},
}

// silent are letters within a name that are not said.
var silent = strings.NewReplacer("ght", "t", "dge", "j", "tch", "ch", "sch", "s", "mb", "m", "ck", "k", "ough", "of")

// pet are families of first names that stand for one another in Britain and Ireland; the first of each is what all
// of it is filed under.
var pet = []string{
	"abigail abbie abby gail", "albert al bert bertie", "alexander alex alec alasdair alistair sandy sasha xander", "alexandra alexa sandra lexie",
	"alfred alf alfie fred", "andrew andy drew", "angela angie", "anne ann anna annie nancy", "anthony antony tony", "arthur art", "barbara babs barb",
	"benjamin ben benny", "bernard bernie", "caroline carolyn carol carrie", "catherine katherine kathryn katharine cath cathy kate kathy katie kitty kit kay kathleen cathryn catrin",
	"charles charlie chas chuck", "charlotte lottie charlie", "christine chris chrissie christina tina", "christopher chris kit topher", "daniel dan danny", "david dave davy dai dafydd",
	"deborah debra deb debbie", "dennis denis den", "derek del", "dorothy dot dotty dolly", "douglas doug dougie", "edward ed eddie ted teddy ned", "eleanor ellie nell nellie nora elinor",
	"elizabeth elisabeth beth betty bess lisa eliza liz lizzie libby betsy elsie lily", "emily em emmie", "eric rick", "francis frank frankie", "frances fran francesca",
	"frederick fred freddie", "gabriel gabe", "geoffrey jeffrey geoff jeff", "gerald gerry jerry gerard", "gregory greg", "harold harry hal", "harriet hattie hetty", "helen ellen nell",
	"henry harry hal hank", "isabel isobel isabella bella izzy", "jacob jake", "james jim jimmy jamie jem seamus hamish", "jane janet jenny jean janie sian", "jennifer jen jenny", "jeremy jerry jez",
	"jessica jess jessie", "joanne joanna jo joan", "john jon johnny jack ian sean ieuan evan", "jonathan jon jonny", "joseph joe joey", "josephine jo josie", "joshua josh", "judith judy",
	"julian jules", "julia julie", "kenneth ken kenny", "laurence lawrence larry laurie", "leonard len lenny leo", "leslie les", "lewis louis lou", "louise lou", "lucy lucinda", "madeleine maddie",
	"margaret maggie meg peggy madge marge margie rita greta mairead", "martin marty", "mary molly polly may maria marie", "matthew matt matty", "maureen mo", "maximilian max", "michael mike mick mickey micky michal",
	"mohammed muhammad mohamed mohammad muhammed mohd", "natalie nat", "nathaniel nathan nat", "nicholas nicolas nick nicky", "nicola nicky nikki", "oliver ollie olly", "olivia liv livvy",
	"pamela pam", "patricia pat patsy tricia trish", "patrick pat paddy", "penelope penny", "peter pete piers", "philip phillip phil pip", "philippa pippa", "rachel rachael", "raymond ray", "rebecca becky becca",
	"reginald reg", "richard dick rick ricky rich richie", "robert rob robbie bob bobby bert", "roderick rod rory", "rodney rod", "ronald ron ronnie", "rosemary rose rosie", "samuel sam sammy", "samantha sam",
	"sarah sara sally", "sebastian seb", "simon si", "sophia sophie", "stanley stan", "stephen steven steve", "stephanie steph", "stuart stewart stu", "susan sue susie suzanne suzie", "sylvia silvia",
	"terence terry terrance", "teresa theresa tess terry", "theodore theo ted", "thomas tom tommy", "timothy tim", "valerie val", "veronica ronnie", "victor vic", "victoria vicky vikki tori", "vincent vince",
	"vivian viv", "walter wally walt", "wendy gwendoline", "wilfred wilf", "william will bill billy willie liam", "winifred winnie freda", "yvonne evonne", "zachary zac zack zak",
}

// filed is under which name each name of pet is filed; a name in two families is filed with the first.
var filed = func() map[string]string {
	m := map[string]string{}
	for _, line := range pet {
		names := strings.Fields(line)
		for _, n := range names {
			if m[n] == "" {
				m[n] = names[0]
			}
		}
	}
	return m
}()

// canonical is the name that a first name is filed under, or itself.
func canonical(name string) string {
	if c, ok := filed[name]; ok {
		return c
	}
	return name
}
