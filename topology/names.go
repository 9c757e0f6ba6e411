package topology

import (
	"fmt"
	"strings"
)

// maxName is the length of the longest topic name that Kafka takes.
const maxName = 249

// illegal says what is wrong with a name by the rules of Kafka's topic names, which all names here follow because they
// become parts of topics, folders and metrics. Empty: nothing.
func illegal(name string) string {
	switch {
	case name == "":
		return "is empty"
	case name == "." || name == "..":
		return "is a folder's name"
	case len(name) > maxName:
		return fmt.Sprintf("has %d characters, %d are allowed", len(name), maxName)
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Sprintf("has the character %q", c)
		}
	}
	return ""
}

// metricName is a topic's name as Kafka's metrics show it. Kafka refuses to create a topic next to one that looks the
// same there.
func metricName(topic string) string { return strings.ReplaceAll(topic, ".", "_") }
