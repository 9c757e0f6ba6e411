package settings

import (
	"regexp"
	"strings"
)

// ClientFlags are the flags with which another command of the program finds the cluster that these values name: the config
// file, the brokers unless the file names them, and what else of the connection was given as a flag. Secrets are no flags: they
// are in the file, or in the environment.
func (v *Values) ClientFlags() string {
	var words []string
	for _, s := range OfClient() {
		e := v.entry(s)
		repeat := e.origin.Source == Flag
		switch s {
		case Topology.Setting:
			repeat = false // one process runs one, which the caller knows
		case Brokers.Setting, Config.Setting:
			repeat = repeat || e.origin.Source == Environment
		}
		switch {
		case !repeat || s.Secret:
		case e.value == nil: // a flag that takes back what the file says
			words = append(words, "--"+s.Name, shellText(""))
		default:
			words = append(words, "--"+s.Name, shellText(s.kind.format(e.value)))
		}
	}
	return strings.Join(words, " ")
}

// plainShell are texts that shells take as they are.
var plainShell = regexp.MustCompile(`^[A-Za-z0-9_./:,@%+=\[\]-]+$`)

// shellText is a text as one word of a POSIX shell.
func shellText(text string) string {
	if plainShell.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
