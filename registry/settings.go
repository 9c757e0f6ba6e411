package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Level is which readers a new version must not break: NONE, BACKWARD, FORWARD, FULL, or one of the last three with _TRANSITIVE.
type Level string

// Mode is what may be done to a subject: READWRITE, READONLY, READONLY_OVERRIDE or IMPORT.
type Mode string

func isCode(err error, code int) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// scope is the path of a setting; the subject "" is everything.
func scope(kind, subject string) (path []string, of string) {
	if subject == "" {
		return []string{kind}, "everything"
	}
	return []string{kind, subject}, fmt.Sprintf("subject %q", subject)
}

// Config is the configuration of a subject, or of everything for "", as a JSON object with compatibilityLevel; own says to look at
// the subject's own alone, which is [ErrNotFound] where it has none, and may have no level.
func (c *Client) Config(ctx context.Context, subject string, own bool) (json.RawMessage, error) {
	path, of := scope("config", subject)
	var config json.RawMessage
	err := c.ask(ctx, "get the configuration of "+of, http.MethodGet, path, params(!own && c.Qualified(subject) != "", "defaultToGlobal"), nil, &config)
	return config, err
}

// Level is the level of a subject, its own or the one that holds for it; for "" that of everything.
func (c *Client) Level(ctx context.Context, subject string) (Level, error) {
	raw, err := c.Config(ctx, subject, false)
	if err != nil {
		return "", err
	}
	var config struct {
		CompatibilityLevel Level `json:"compatibilityLevel"`
	}
	if err := json.Unmarshal(raw, &config); err != nil || config.CompatibilityLevel == "" {
		return "", away("get the level of compatibility", errors.New("the answer has no compatibilityLevel"))
	}
	return config.CompatibilityLevel, nil
}

// SetLevel sets the level of a subject, or of everything for "".
func (c *Client) SetLevel(ctx context.Context, subject string, level Level) error {
	return c.SetConfig(ctx, subject, map[string]any{"compatibility": level})
}

// SetConfig changes the configuration of a subject, or of everything for "": the members of config, as "compatibility" and
// "normalize", are set, others stay.
func (c *Client) SetConfig(ctx context.Context, subject string, config map[string]any) error {
	path, of := scope("config", subject)
	return c.ask(ctx, "change the configuration of "+of, http.MethodPut, path, nil, config, nil)
}

// ResetConfig deletes the configuration of a subject: what holds for everything holds for it.
func (c *Client) ResetConfig(ctx context.Context, subject string) error {
	path, of := scope("config", subject)
	return c.ask(ctx, "delete the configuration of "+of, http.MethodDelete, path, nil, nil, nil)
}

// Mode is the mode of a subject, its own or the one that holds for it; for "" that of everything.
func (c *Client) Mode(ctx context.Context, subject string) (Mode, error) {
	path, of := scope("mode", subject)
	var a struct{ Mode Mode }
	err := c.ask(ctx, "get the mode of "+of, http.MethodGet, path, params(c.Qualified(subject) != "", "defaultToGlobal"), nil, &a)
	return a.Mode, err
}

// OwnMode is the mode that a subject has itself. [ErrNotFound]: it has none, and what holds for everything holds for it.
func (c *Client) OwnMode(ctx context.Context, subject string) (Mode, error) {
	path, of := scope("mode", subject)
	var a struct{ Mode Mode }
	err := c.ask(ctx, "get the mode of "+of, http.MethodGet, path, nil, nil, &a)
	return a.Mode, err
}

// SetMode sets the mode of a subject, or of everything for "". force admits IMPORT where there are schemas already.
func (c *Client) SetMode(ctx context.Context, subject string, mode Mode, force bool) error {
	path, of := scope("mode", subject)
	var query url.Values
	if force {
		query = url.Values{"force": {"true"}}
	}
	return c.ask(ctx, "set the mode of "+of, http.MethodPut, path, query, map[string]Mode{"mode": mode}, nil)
}
