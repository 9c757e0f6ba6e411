package settings

import (
	"fmt"
	"strings"
)

// markdown is docs/configuration.md.
func markdown() string {
	var b strings.Builder
	b.WriteString(docsHead)
	group := ""
	for _, s := range Table() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n## %s\n\n| setting | values | default | |\n| --- | --- | --- | --- |\n", group)
		}
		name := "`" + s.Name + "`"
		if s.Alias != "" {
			name += ", also `" + s.Alias + "`"
		}
		value := s.DefaultText
		if value == "" && s.Default != "" {
			value = "`" + s.Default + "`"
		}
		help := strings.ToUpper(s.Help[:1]) + s.Help[1:] + "."
		switch {
		case s.Secret:
			help += " Secret: environment or file only."
		case s.NoFile:
			help += " Flag or environment only."
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, s.Kind(), value, help)
	}
	return b.String()
}

const docsHead = `# Configuration

<!-- Made from internal/settings/table.go by: go test ./internal/settings -run TestDocs -update -->

A setting has one name everywhere. Take ` + "`session.timeout.ms`" + `:

| place | form |
| --- | --- |
| flag | ` + "`--session.timeout.ms 10s`" + ` |
| environment | ` + "`WEIR_SESSION_TIMEOUT_MS=10s`" + ` |
| YAML file, named by ` + "`--config FILE` or `WEIR_CONFIG`" + ` | ` + "`session.timeout.ms: 10s`" + ` |
| ` + "`weir.Run`" + ` | ` + "`Options.Settings[\"session.timeout.ms\"]: \"10s\"`" + `, or a field of ` + "`Options`" + `; the other places are not read |

A flag is stronger than the environment, the environment than the file, the file than the default. An empty variable is
one that is not set. ` + "`run --print-config`" + ` shows every value and where it comes from.

- A **duration** has a unit: ` + "`250ms`, `1.5s`, `2m`, `1h`" + `. A setting that ends in ` + "`.ms`" + ` also takes plain milliseconds.
- A **size** is in bytes, or has a unit: ` + "`512KiB`, `16MiB`, `1GiB`" + `.
- A **list** has commas between its items; in the file it may be a YAML list. A flag may also be repeated.
- **Secrets** are taken from the environment or the file only, and shown nowhere.

A name or value that is wrong stops the program with exit code 2 before it connects to anything; the error names the
place (` + "`weir.yaml:3:1`" + `) and the nearest right name. Names with dots are Kafka's own and mean the same here, unless they say
otherwise. Where a default differs from Kafka's, it is so that a restarted instance is back in seconds, or for throughput.

Exit codes are in [exit-codes.md](exit-codes.md).
`
