package settings

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

func textKind(flag string) kind {
	return kind{
		name: "text",
		flag: flag,
		parse: func(s string) (any, error) {
			switch {
			case s == "":
				return nil, errors.New("it cannot be empty")
			case !utf8.ValidString(s):
				return nil, errors.New("it is not UTF-8")
			}
			return s, nil
		},
		format: func(v any) string { return v.(string) },
	}
}

// prefixKind is for what stands before the names of topics, of which 249 characters are allowed.
func prefixKind() kind {
	k := textKind("TEXT")
	text := k.parse
	k.name = "letters, digits, '.', '_' and '-'"
	k.parse = func(s string) (any, error) {
		if len(s) > 100 {
			return nil, fmt.Errorf("it has %d characters, 100 are allowed", len(s))
		}
		for _, c := range s {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
				return nil, fmt.Errorf("it has the character %q, which names of topics cannot have: use letters, digits, '.', '_' and '-'", c)
			}
		}
		return text(s)
	}
	return k
}

func boolKind() kind {
	return kind{
		name: "true or false",
		parse: func(s string) (any, error) {
			switch s {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
			return nil, errors.New("give true or false")
		},
		format: func(v any) string { return strconv.FormatBool(v.(bool)) },
	}
}

func intKind(lowest, highest int) kind {
	allowed := fmt.Sprintf("give a whole number from %d to %d", lowest, highest)
	if highest == math.MaxInt {
		allowed = fmt.Sprintf("give a whole number, at least %d", lowest)
	}
	return kind{
		name: "number",
		flag: "N",
		parse: func(s string) (any, error) {
			n, err := strconv.Atoi(s)
			if err != nil || n < lowest || n > highest {
				return nil, errors.New(allowed)
			}
			return n, nil
		},
		format: func(v any) string { return strconv.Itoa(v.(int)) },
	}
}

// replicasKind is a count of replicas, or -1 for what the broker has as its default. Kafka refuses 0.
func replicasKind() kind {
	k := intKind(-1, math.MaxInt16)
	parse := k.parse
	k.parse = func(s string) (any, error) {
		n, err := parse(s)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("give a whole number from 1 to %d, or -1 for the broker's default", math.MaxInt16)
		}
		return n, nil
	}
	return k
}

func choiceKind(choices ...string) kind {
	return kind{
		name:    strings.Join(choices, ", "),
		flag:    strings.Join(choices, "|"),
		choices: choices,
		parse: func(s string) (any, error) {
			if !slices.Contains(choices, s) {
				return nil, fmt.Errorf("give %s", orList(choices))
			}
			return s, nil
		},
		format: func(v any) string { return v.(string) },
	}
}

// durationKind takes Go's form; a setting whose name ends in .ms takes plain milliseconds too, as Kafka does.
func durationKind(name string, lowest time.Duration) kind {
	millis := strings.HasSuffix(name, ".ms")
	allowed := fmt.Sprintf("give a duration with its unit such as %s", exampleDuration(lowest))
	if millis {
		allowed = fmt.Sprintf("give milliseconds such as %d, or a duration with its unit such as %s",
			exampleDuration(lowest).Milliseconds(), exampleDuration(lowest))
	}
	if lowest > 0 {
		allowed += fmt.Sprintf(", at least %s", lowest)
	}
	return kind{
		name: "duration",
		flag: "DURATION",
		parse: func(s string) (any, error) {
			d, err := time.ParseDuration(s)
			if n, e := strconv.ParseInt(s, 10, 64); millis && e == nil && n <= math.MaxInt64/int64(time.Millisecond) {
				d, err = time.Duration(n)*time.Millisecond, nil
			}
			if err != nil || d < lowest || millis && d%time.Millisecond != 0 {
				return nil, errors.New(allowed)
			}
			return d, nil
		},
		format: func(v any) string {
			if millis {
				return strconv.FormatInt(v.(time.Duration).Milliseconds(), 10)
			}
			return shortDuration(v.(time.Duration))
		},
	}
}

func exampleDuration(lowest time.Duration) time.Duration {
	if lowest >= time.Second {
		return 10 * lowest
	}
	return 100 * time.Millisecond
}

// shortDuration is Go's form without zero seconds and minutes at the end: 1m, not 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
}

func sizeKind(lowest, highest int64) kind {
	allowed := "give bytes, or a number with KiB, MiB or GiB such as 16MiB"
	if lowest > 0 {
		allowed += fmt.Sprintf(", at least %s", formatSize(lowest))
	}
	if highest != math.MaxInt64 {
		allowed += fmt.Sprintf(", at most %s", formatSize(highest))
	}
	return kind{
		name: "size",
		flag: "SIZE",
		parse: func(s string) (any, error) {
			n, ok := parseSize(s)
			if !ok || n < lowest || n > highest {
				return nil, errors.New(allowed)
			}
			return n, nil
		},
		format: func(v any) string { return formatSize(v.(int64)) },
	}
}

func parseSize(s string) (int64, bool) {
	unit := int64(1)
	for _, u := range sizeUnits {
		if rest, found := strings.CutSuffix(s, u.name); found {
			s, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if u.bytes > 1 && n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func addressesKind() kind {
	return kind{
		name: "list of HOST:PORT",
		flag: "HOST:PORT,...",
		parse: func(s string) (any, error) {
			list := []string{}
			for item := range strings.SplitSeq(s, ",") {
				item = strings.TrimSpace(item)
				if item == "" && len(list) > 0 {
					continue // a comma at the end, which Kafka's own tools take too
				}
				if host, ok := splitAddress(item); !ok || host == "" {
					return nil, errors.New("give HOST:PORT, several with commas between them")
				}
				list = append(list, item)
			}
			return list, nil
		},
		format: func(v any) string { return strings.Join(v.([]string), ",") },
	}
}

func addressKind() kind {
	return kind{
		name: "HOST:PORT",
		flag: "HOST:PORT",
		parse: func(s string) (any, error) {
			if _, ok := splitAddress(s); !ok {
				return nil, errors.New("give HOST:PORT, or :PORT for this machine only")
			}
			return s, nil
		},
		format: func(v any) string { return v.(string) },
	}
}

func splitAddress(s string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return host, err == nil && utf8.ValidString(host) && !strings.ContainsFunc(host, func(r rune) bool {
		return r == ' ' || r == '/' || r == ',' || !unicode.IsPrint(r)
	})
}

// orList is "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
