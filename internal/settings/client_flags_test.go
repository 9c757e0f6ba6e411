package settings

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A command that is printed finds the cluster that the printing one was told of, wherever it was told: what the command is given
// reads back as the same values, with the environment of the first one for its secrets.
//
// Mutations seen to fail it: without the config file; brokers of the environment left out; flags of the connection left out; secrets
// taken in; no quotes.
func TestClientFlagsFindTheSameCluster(t *testing.T) {
	const file = "brokers: file:9092\nsecurity.protocol: SASL_SSL\nssl.ca.location: ca.pem\n"
	for _, c := range []struct {
		args, env []string
		want      string
	}{
		{[]string{"--brokers", "a:1,b:2"}, nil, "--brokers a:1,b:2"},
		{nil, []string{"WEIR_BROKERS=a:1"}, "--brokers a:1"},
		{[]string{"--config", "weir.yaml"}, nil, "--config weir.yaml"},
		{nil, []string{"WEIR_CONFIG=weir.yaml"}, "--config weir.yaml"},
		{[]string{"--config", "weir.yaml", "--topology", "t", "--workers", "3"}, nil, "--config weir.yaml"},
		{[]string{"--config", "weir.yaml", "--brokers", "[::1]:9092"}, nil, "--brokers [::1]:9092 --config weir.yaml"},
		{[]string{"--config", "weir.yaml", "--ssl.ca.location="}, nil, "--config weir.yaml --ssl.ca.location ''"},
		{[]string{"--bootstrap.servers", "a:1", "--ssl.ca.location", "my 'own' ca.pem", "--security.protocol", "SSL"}, []string{"WEIR_SASL_PASSWORD=x"},
			`--brokers a:1 --security.protocol SSL --ssl.ca.location 'my '\''own'\'' ca.pem'`},
	} {
		v, err := resolve(t, c.args, c.env, file)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.ClientFlags(); got != c.want {
			t.Errorf("%v %v: %s, want %s", c.args, c.env, got, c.want)
			continue
		}
		words := strings.Fields(c.want)
		if n := slices.IndexFunc(words, func(w string) bool { return strings.Contains(w, "'") }); n >= 0 {
			words = append(words[:n:n], v.Lines()[slices.IndexFunc(v.Lines(), func(l Line) bool { return l.Name == "ssl.ca.location" })].Value)
		}
		flags := pflag.NewFlagSet("offsets", pflag.ContinueOnError)
		AddFlags(flags, OfClient(), nil)
		if err := flags.Parse(words); err != nil {
			t.Fatal(err)
		}
		again, err := Resolve(Sources{Flags: flags, Env: c.env, ReadFile: func(string) ([]byte, error) { return []byte(file), nil }})
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range v.Lines() {
			if s := Table()[i]; s != Topology.Setting && slices.Contains(OfClient(), s) && again.Lines()[i].Value != line.Value {
				t.Errorf("%v %v: %s is %q in the command, and was %q", c.args, c.env, line.Name, again.Lines()[i].Value, line.Value)
			}
		}
	}
}
