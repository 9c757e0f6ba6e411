package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/evolution"
	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/secretfile"
	"github.com/weirstream/weir/internal/service"
	"github.com/weirstream/weir/registry"
)

// Reach is how a verb reaches a registry, by its flags.
type Reach struct {
	urls                []string
	user, token         string // files
	ca, cert, key, with string
	output              string
}

// Flags adds them to a verb.
func (r *Reach) Flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&r.urls, "registry", nil, "URL of the schema registry, such as http://localhost:8081; several, separated by commas")
	f.StringVar(&r.user, "registry-user-file", "", "file with USER:PASSWORD for the registry")
	f.StringVar(&r.token, "registry-token-file", "", "file with a bearer token for the registry")
	f.StringVar(&r.ca, "registry-ca-file", "", "file with the certificates that the registry's may be signed by, PEM (default: the system's)")
	f.StringVar(&r.cert, "registry-cert-file", "", "file with this client's certificate for the registry, PEM")
	f.StringVar(&r.key, "registry-key-file", "", "file with the key of --registry-cert-file, PEM")
	cli.AddOutput(cmd, &r.output)
}

// Output is the form in which the verb's result is wanted.
func (r *Reach) Output() string { return r.output }

// Client is a client of the registry. Its error is about the flags.
func (r *Reach) Client(messages io.Writer) (*registry.Client, error) {
	c := registry.Config{URLs: r.urls, Context: r.with}
	if len(r.urls) == 0 {
		return nil, errors.New("which registry? give its URL with --registry, such as http://localhost:8081")
	}
	secret := func(flag, path string) (string, error) {
		if path == "" {
			return "", nil
		}
		data, warning, err := secretfile.Read(path)
		if warning != "" {
			fmt.Fprintln(messages, warning)
		}
		text := strings.TrimSpace(string(data))
		if err == nil && text == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			err = fmt.Errorf("--%s: %s: %w", flag, path, err)
		}
		return text, err
	}
	user, err1 := secret("registry-user-file", r.user)
	token, err2 := secret("registry-token-file", r.token)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	c.Token = token
	if user != "" {
		var ok bool
		if c.User, c.Password, ok = strings.Cut(user, ":"); !ok {
			return nil, fmt.Errorf("--registry-user-file: %s is not USER:PASSWORD", r.user)
		}
	}
	var err error
	if c.TLS, err = service.ClientTLS("registry", r.ca, r.cert, r.key); err != nil {
		return nil, err
	}
	return registry.New(c)
}

// verb is a command over a registry. do gets what the arguments were checked for.
func (r *Reach) verb(use, short string, most int, do func(*cobra.Command, *evolution.Tool, []string) error) *cobra.Command {
	names := strings.Fields(use)[1:]
	least := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			least++
		}
	}
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < least || len(args) > most {
				return fmt.Errorf("%s takes %s, and was given %s", cmd.CommandPath(), or(strings.Join(names, " "), "no arguments"), arguments(len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.Client(cmd.ErrOrStderr())
			if err != nil {
				return cli.UsageError(err)
			}
			defer client.Close()
			return cli.Interrupted(cmd, do(cmd, &evolution.Tool{Client: client}, args))
		},
	}
	r.Flags(cmd)
	cmd.Flags().StringVar(&r.with, "context", "", "context of the registry to which names and ids belong, such as .billing")
	return cmd
}

func arguments(n int) string {
	if n == 0 {
		return "no arguments"
	}
	return count(n, "argument")
}

// count is a number of things in words.
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// show prints a result: as JSON where that is asked for, else as text does.
func (r *Reach) show(cmd *cobra.Command, result any, text func(io.Writer)) error {
	if r.output != cli.OutputJSON {
		text(cmd.OutOrStdout())
		return nil
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(result)
}

// addExecute adds the flag without which nothing is changed.
func addExecute(cmd *cobra.Command, execute *bool) {
	cmd.Flags().BoolVar(execute, "execute", false, "do it; without it the command shows what it would do and changes nothing")
}

// unchanged says that nothing was done.
func unchanged(cmd *cobra.Command) {
	fmt.Fprintln(cmd.ErrOrStderr(), "nothing was changed: add --execute to do it")
}

// number is a version in an argument; "latest" is -1.
func number(text string) (int, error) {
	if text == "latest" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no version: give a number from 1 on, or latest", text)
	}
	return n, nil
}

const typeHelp = "avro, protobuf or json (default: by the name of the file: .avsc, .proto, .json)"

// given is a schema in a file.
type given struct {
	kind       string
	references []string
}

func (g *given) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&g.kind, "type", "", typeHelp)
	cmd.Flags().StringArrayVar(&g.references, "reference", nil, "a schema that this one refers to, NAME=SUBJECT:VERSION; may be given several times")
}

// typeOf is the type of a schema: the one that is given, or by the name of its file.
func typeOf(kind, path string) (schema.Type, error) {
	if kind == "" {
		for end, is := range map[string]string{".avsc": "avro", ".proto": "protobuf", ".json": "json"} {
			if strings.HasSuffix(path, end) {
				kind = is
			}
		}
	}
	if kind == "" {
		return "", cli.UsageError(fmt.Errorf("what is %s? give --type avro, protobuf or json", path))
	}
	t, err := schema.ParseType(kind)
	if err != nil {
		return "", cli.UsageError(fmt.Errorf("--type: %w", err))
	}
	return t, nil
}

// read reads the file. Its errors are wrong use or the file's.
func (g *given) read(path string) (s registry.Schema, err error) {
	t, err := typeOf(g.kind, path)
	if err != nil {
		return s, err
	}
	s.Type = registry.Type(t)
	for _, text := range g.references {
		name, rest, ok := strings.Cut(text, "=")
		at := strings.LastIndexByte(rest, ':')
		if !ok || at < 1 {
			return s, cli.UsageError(fmt.Errorf("--reference: %q is not NAME=SUBJECT:VERSION", text))
		}
		n, err := number(rest[at+1:])
		if err != nil {
			return s, cli.UsageError(fmt.Errorf("--reference: %w", err))
		}
		s.References = append(s.References, registry.Reference{Name: name, Subject: rest[:at], Version: n})
	}
	text, err := readSchema(path)
	s.Text = text
	return s, err
}

// inFile says in which file a schema is none.
func inFile(path string, err error) error {
	if errors.Is(err, evolution.ErrNoSchema) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return err
}

func readSchema(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	text, err := secretfile.ReadAll(f, path, 8<<20)
	return string(text), errors.Join(err, f.Close())
}
