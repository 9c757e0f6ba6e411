package settings

// Given is a setting that the program itself gives, by its name or alias, in its text form.
type Given struct {
	Name  string
	Text  string
	Place string // what the program calls it: Options.Workers
}

// fromProgram finds the settings that a program gives. What is refused there are those that say where settings come from.
func fromProgram(list []Given) (found []given) {
	var known []string
	for _, s := range Table() {
		known = append(known, s.names()...)
	}
	for _, g := range list {
		s, ok := Lookup(g.Name)
		origin := Origin{Source: Program, Name: g.Place}
		switch {
		case !ok:
			found = append(found, given{err: origin.unknown("setting", g.Name, known)})
		case s == Config.Setting:
			found = append(found, given{err: origin.errorf(s.Name, "a program gives its settings itself: no file is read")})
		default:
			found = append(found, given{setting: s, text: g.Text, origin: origin})
		}
	}
	return found
}
