package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/weirstream/weir/internal/secretfile"
)

// Secret is a password or token. Whatever prints it, prints a placeholder; only Reveal gives the text.
//
// The text is kept behind a pointer, because fmt calls no methods on a value that it finds in an unexported field: it
// then prints an address.
type Secret struct{ text *string }

// NewSecret hides text. An empty text is no secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// SecretFile reads a secret from a file. One line end at its end is not part of it. A file that others than its owner can
// write is refused.
func SecretFile(path string) (Secret, error) {
	secret, _, err := readSecret(path)
	return secret, err
}

// readSecret also returns a warning when others can read the file.
func readSecret(path string) (Secret, string, error) {
	data, warning, err := secretfile.Read(path)
	if err != nil {
		return Secret{}, "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return Secret{}, "", fmt.Errorf("%s is empty", path)
	}
	return NewSecret(text), warning, nil
}

// IsSet says whether there is a secret.
func (s Secret) IsSet() bool { return s.text != nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return "[redacted]"
}

// Format prints the placeholder for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText keeps the secret out of JSON, YAML and zap's reflection.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText lets a loader of settings fill a Secret.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == "[redacted]" {
		return errors.New("this is the placeholder of a secret, not a secret")
	}
	*s = NewSecret(string(text))
	return nil
}

// LogValue is for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
