package registry

import "strings"

// A subject may be in a context: :.context:subject. Ids and names are of a context; the default one is ".".
const defaultContext = "."

// contextOf splits a name. What is only :.context: has an empty subject.
func contextOf(subject string) (context, name string) {
	if rest, ok := strings.CutPrefix(subject, ":."); ok {
		if at := strings.IndexByte(rest, ':'); at >= 0 {
			return "." + rest[:at], rest[at+1:]
		}
		return "." + rest, ""
	}
	return defaultContext, subject
}

// qualify is the name by which a subject is kept: the default context is not named.
func qualify(context, subject string) string {
	if own, name := contextOf(subject); own != defaultContext || strings.HasPrefix(subject, ":.") {
		context, subject = own, name
	}
	if context == defaultContext {
		return subject
	}
	return ":" + context + ":" + subject
}

// validScope says whether a level or a mode may be set of it: of a subject, a context, or everything.
func validScope(subject string) bool {
	context, name := contextOf(subject)
	return context != ".__GLOBAL" && (name == "" || validSubject(subject))
}

func validSubject(subject string) bool {
	_, name := contextOf(subject)
	return name != "" && name != "__GLOBAL" && name != "__EMPTY" && !strings.ContainsFunc(subject, func(r rune) bool { return r < ' ' || r == 0x7f })
}
