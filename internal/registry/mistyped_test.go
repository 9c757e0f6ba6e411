package registry

import (
	"regexp"
	"strings"
	"testing"
)

// What is wrong with a body is said in the words of who sent it: no answer names a type or function of the program, whatever value stands in whichever member.
//
// Mutation seen to fail it: decoded without Plain.
func TestNoAnswerNamesATypeOfTheProgram(t *testing.T) {
	rig := newRig(t)
	_, r := rig.open()
	ask(r, "POST", "/subjects/there/versions", `{"schema":"\"string\""}`)
	goWords := regexp.MustCompile(`Go (value|struct)|json: (cannot|invalid number|unknown)|registry\.[A-Z]|map\[|strconv|struct \{`)
	for _, v := range []string{"1", `"x"`, "null", "[]", "[1]", "[{}]", "{}", "true", `{"a":1}`, `{"properties":1}`, `{"domainRules":[1]}`, "1e400", "-1", "1.5", "99999999999999999999", "", "{", `[{"name":1}]`, `[{"version":true}]`, `[{"version":"x"}]`, `[{"version":1.5}]`} {
		for path, names := range map[string]string{
			"POST /subjects/s/versions":                          "schema schemaType references metadata ruleSet id version x",
			"POST /subjects/there":                               "schema schemaType references metadata ruleSet",
			"POST /compatibility/subjects/there/versions/latest": "schema schemaType references",
			"PUT /config/s":                                      "compatibility normalize alias compatibilityGroup defaultMetadata overrideRuleSet",
			"PUT /mode/s":                                        "mode",
		} {
			method, path, _ := strings.Cut(path, " ")
			for _, name := range append(strings.Fields(names), "") {
				body := v
				if name != "" {
					body = `{"schema":"\"string\"","` + name + `":` + v + `}`
				}
				if strings.Contains(path, "versions") && name == "x" {
					body = `{"schema":"{\"type\":\"record\",\"name\":` + strings.ReplaceAll(v, `"`, `\"`) + `}"}`
				}
				if got := ask(r, method, path, body); goWords.MatchString(got) {
					t.Errorf("%s %s: %s", path, body, got)
				}
			}
		}
	}
}
