package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/settings"
)

// A command that does not exist is named, with the nearest that does and all that there are, wherever it stands and whatever flags
// stand around it. So is an argument of a command that takes none.
//
// Mutations seen to fail it: Execute without unknownCommand (flags after the word were called unknown, completion answered with help
// and success); unknownCommand that takes the value of a flag for a command; notFound without the list; help that is cobra's.
func TestAMistypedCommandIsNamed(t *testing.T) {
	root := New("shop", sound, small)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range commands(root) {
		path := strings.Fields(cmd.CommandPath())[1:]
		if !cmd.HasSubCommands() {
			if cmd.Args == nil || cmd.ValidArgs != nil || strings.HasSuffix(cmd.Use, " FILE") || cmd.Name() == "help" || slices.Contains(path, "completion") {
				continue // takes arguments, or is cobra's own
			}
			out, code := execute(append(slices.Clone(path), "extra"), sound, small)
			if want := fmt.Sprintf("shop: %s takes no arguments, and was given \"extra\"", cmd.CommandPath()); code != exitUsage || !strings.HasPrefix(out, want) {
				t.Errorf("%v extra: exit %d, %s", path, code, out)
			}
			continue
		}
		for _, child := range cmd.Commands() {
			word := child.Name()[1:] // the first letter is missing
			for _, around := range []func() []string{
				func() []string { return append(slices.Clone(path), word) },
				func() []string { return append(slices.Clone(path), word, "--brokers", "a:1") },
				func() []string { return append(slices.Clone(path), word, "--nonsense=1", "-x", "more") },
				func() []string { return append(slices.Clone(path), "--brokers", "a:1", word) },
				func() []string { return append([]string{"help"}, append(slices.Clone(path), word)...) },
			} {
				args := around()
				out, code := execute(args, sound, small)
				want := fmt.Sprintf("shop: unknown command %q of %s. Did you mean %q? There are: ", word, cmd.CommandPath(), child.CommandPath())
				if code != exitUsage || !strings.HasPrefix(out, want) || strings.Count(out, "\n") != 1 {
					t.Errorf("%v: exit %d, %s", args, code, out)
				}
				for _, other := range cmd.Commands() {
					if _, list, _ := strings.Cut(out, "There are: "); !strings.Contains(list, other.Name()) {
						t.Errorf("%v: %s is not listed: %s", args, other.Name(), out)
					}
				}
			}
			if out, code := execute(append(append([]string{"help"}, path...), child.Name()), sound, small); code != 0 || !strings.Contains(out, "Usage:") {
				t.Errorf("help of %s: exit %d, %s", child.CommandPath(), code, out)
			}
		}
	}
}

// Mutations: OfClient that lists all settings, or leaves out those of the connection.
func TestHelpOfOffsetsListsWhatMattersToIt(t *testing.T) {
	for _, verb := range []string{"show", "accept", "reset"} {
		out, code := execute([]string{"offsets", verb, "--help"}, sound)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
		for _, s := range settings.Table() {
			matters := slices.Contains([]string{"brokers", "topology", "topic.prefix", "config"}, s.Name) || strings.HasPrefix(s.Group, "Connection")
			if listed := strings.Contains(out, "  --"+s.Name+"\n") || strings.Contains(out, "  --"+s.Name+" "); listed != (matters && !s.Secret) {
				t.Errorf("offsets %s: --%s is listed: %v", verb, s.Name, listed)
			}
		}
	}
}

// Mutation: AddOutput without --json.
func TestJSONIsAskedForInOneWayEverywhere(t *testing.T) {
	root := New("shop", sound)
	for _, cmd := range commands(root) {
		output, short := cmd.Flags().Lookup("output"), cmd.Flags().Lookup("json")
		if (output == nil) != (short == nil) {
			t.Errorf("%s has one of --output and --json", cmd.CommandPath())
		}
	}
	long, _ := execute([]string{"version", "--output", "json"}, sound)
	for _, args := range [][]string{{"--json"}, {"--json=true"}, {"--output", "text", "--json"}} {
		if out, code := execute(append([]string{"version"}, args...), sound); code != 0 || out != long || !strings.HasPrefix(out, "{") {
			t.Errorf("%v: exit %d, %s", args, code, out)
		}
	}
	if out, code := execute([]string{"version", "--json=false"}, sound); code != 0 || strings.HasPrefix(out, "{") {
		t.Errorf("exit %d, %s", code, out)
	}
}
