package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
)

// traced are the headers by which a record says which trace it is of (W3C Trace Context), of what a request or an event says of that: nil where it says
// none. A traceparent that is none, or one of two, is passed over, and with it the tracestate, which means nothing without one.
func traced(parents, states []string) []kafka.Header {
	if len(parents) != 1 || !isTrace(parents[0]) {
		return nil
	}
	out := []kafka.Header{{Key: headerTrace, Value: []byte(parents[0])}}
	states = slices.DeleteFunc(slices.Clone(states), func(s string) bool { return strings.Trim(s, " \t") == "" })
	if state := strings.Join(states, ","); state != "" && plain(state) { // a list may come in several lines
		out = append(out, kafka.Header{Key: headerState, Value: []byte(state)})
	}
	return out
}

// traceOf are those of a request.
func traceOf(headers http.Header) []kafka.Header {
	if parents := headers["Traceparent"]; len(parents) > 0 {
		return traced(parents, headers["Tracestate"])
	}
	return nil
}

// isTrace says whether a text is a traceparent: version, trace, parent and flags. A version that is not known yet may have more after them.
func isTrace(text string) bool {
	const long = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(text) < long || len(text) > long && (text[:2] == "00" || text[long] != '-') || text[:2] == "ff" || !plain(text) {
		return false
	}
	for i := range long {
		if c := text[i]; i == 2 || i == 35 || i == 52 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return strings.Trim(text[3:35], "0") != "" && strings.Trim(text[36:52], "0") != ""
}

// plain says whether a text is printable ASCII, which trace context is: what is not is no trace of anybody's.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// ofTrace says whether a header is one of trace context.
func ofTrace(name string) bool {
	return len(name) >= len(headerState) && (strings.EqualFold(name, headerTrace) || strings.EqualFold(name, headerState))
}

// ofCloudEvents says whether a header is one that CloudEvents' binding for Kafka gives a meaning.
func ofCloudEvents(name string) bool {
	const attribute, media = "ce_", "content-type"
	return len(name) >= len(attribute) && strings.EqualFold(name[:len(attribute)], attribute) || strings.EqualFold(name, media)
}

// merge adds headers that a producer names to those that are there. A name that has a meaning to readers comes once: of two, some read the first and some
// the last. The trace that is nearest to the event is its trace.
func merge(there, own []kafka.Header) ([]kafka.Header, *Problem) {
	var parents, states []string
	out := slices.Grow(slices.Clone(there), len(own))
	for _, h := range own {
		switch {
		case ofTrace(h.Key):
			if strings.EqualFold(h.Key, headerTrace) {
				parents = append(parents, string(h.Value))
			} else {
				states = append(states, string(h.Value))
			}
			continue
		case ofCloudEvents(h.Key) && slices.ContainsFunc(out, func(o kafka.Header) bool { return strings.EqualFold(o.Key, h.Key) }):
			return nil, invalid.of("the header %q comes twice, and readers differ in which of the two they take", h.Key).todo("send it once")
		}
		out = append(out, h)
	}
	if trace := traced(parents, states); trace != nil {
		out = append(slices.DeleteFunc(out, func(h kafka.Header) bool { return ofTrace(h.Key) }), trace...)
	}
	return out, nil
}
