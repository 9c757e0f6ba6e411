package plan

import (
	"fmt"
	"strings"
	"time"
)

// Owned says what a topic is that Kafka or Weir writes by itself, judged by its name alone and in whatever environment; "" where the topic is
// its users'. What the names of Weir's topics end with is in names.go.
func Owned(topic string) string {
	switch {
	case strings.HasPrefix(topic, "__"):
		return "one of Kafka's own"
	case topic == "_schemas":
		return "that of the schemas"
	case strings.Contains(topic, "_weir."):
		return "one of Weir's own"
	case strings.HasSuffix(topic, changelogEnd):
		return "a changelog"
	case IsRedrive(topic):
		return "a redrive topic"
	case isRetry(topic):
		return "a retry topic"
	case strings.HasSuffix(topic, deadLetterEnd):
		return OwnedLetters
	}
	return ""
}

// OwnedLetters is what Owned says of a topic of dead letters. Programs may write letters of their own there, commands may not.
const OwnedLetters = "a topic of dead letters"

// CheckTarget refuses a topic into which somebody wants records of users written, where it is Owned. Every command and server that takes the
// name of a topic to write to asks it.
func CheckTarget(topic string) error {
	kind := Owned(topic)
	if kind == "" {
		return nil
	}
	return fmt.Errorf("%s is a topic of Kafka's or of Weir's own (%s), whose records mean something else: give another topic", topic, kind)
}

// isRetry says whether a topic is named as a retry topic: with a delay at its end.
func isRetry(topic string) bool {
	at := strings.LastIndex(topic, retryMiddle)
	if at < 0 {
		return false
	}
	delay, err := time.ParseDuration(topic[at+len(retryMiddle):])
	return err == nil && delay > 0
}
