package settings

import (
	"regexp"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/fault"
)

const envPrefix = "WEIR_"

// Kubernetes gives every pod variables about each service of its namespace; those of a service called weir, or weir-x,
// begin with our prefix. They are not ours.
var serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?$`)

// forTests tells the variables of the project's own tests, which reach the programs that tests start.
func forTests(name string) bool {
	return name == "WEIR_KAFKA_BROKERS" || strings.HasPrefix(name, "WEIR_TEST_") || fault.Enabled && strings.HasPrefix(name, "WEIR_FAULT_")
}

// fromEnv finds the settings in an environment. An empty variable is one that is not set, as shells and compose files
// cannot always leave one out.
func fromEnv(environ []string) []given {
	byEnv, known := map[string]*Setting{}, []string{}
	for _, s := range Table() {
		for _, name := range s.names() {
			byEnv[envName(name)] = s
			known = append(known, envName(name))
		}
	}
	var found []given
	for _, line := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(line, "=")
		s, ok := byEnv[name]
		switch {
		case !strings.HasPrefix(name, envPrefix) || text == "":
		case ok:
			found = append(found, given{setting: s, text: text, origin: Origin{Source: Environment, Name: name}})
		case forTests(name):
		case serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(text, "://"):
		default:
			found = append(found, given{err: Origin{Source: Environment, Name: "environment"}.unknown("variable", name, known)})
		}
	}
	return found
}
