package cli

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/letters"
)

// chosen are the flags that say which letters are meant, as they are given.
type chosen struct {
	fingerprint, key, keyBytes, offset, since, until string
	headers                                          []string
	partition                                        int32
	all                                              bool
	limit                                            int64
}

// choose adds them. Verbs that any mean all letters where nothing is chosen have no --all.
func (c *chosen) choose(cmd *cobra.Command, any bool) {
	flags := cmd.Flags()
	flags.StringVar(&c.fingerprint, "fingerprint", "", "letters of one kind of failure, as dlq list shows it")
	flags.StringVar(&c.key, "key", "", "letters of one key")
	flags.StringVar(&c.keyBytes, "key-base64", "", "letters of one key that is no text, in base64")
	flags.StringArrayVar(&c.headers, "header", nil, "letters with a header, as NAME or NAME=VALUE, of the record or of why it failed; may be repeated")
	flags.Int32Var(&c.partition, "partition", 0, "letters in one partition of the topic of dead letters")
	flags.StringVar(&c.offset, "offset", "", "letters at these offsets of --partition: 17, 17-42 (both included), 17- or -42")
	flags.StringVar(&c.since, "since", "", "letters that failed last at this time or later, such as 2026-11-20T00:00:00Z, or so long ago, such as 24h")
	flags.StringVar(&c.until, "until", "", "letters that failed last before this time, as --since")
	if !any {
		flags.BoolVar(&c.all, "all", false, "all open letters of the topic")
	}
}

func (c *chosen) limited(cmd *cobra.Command, most int64, help string) {
	cmd.Flags().Int64Var(&c.limit, "limit", most, help)
}

// selection is what the flags say. With any nothing means all.
func (c *chosen) selection(cmd *cobra.Command, any bool, now time.Time) (s letters.Selection, err error) {
	s = letters.Selection{Fingerprint: c.fingerprint, All: c.all}
	given := cmd.Flags().Changed
	var errs []error
	wrong := func(flag string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	if given("key") {
		s.Key = &c.key
		wrong("key", isText(c.key))
	}
	if given("key-base64") {
		s.KeyBytes, err = base64.StdEncoding.DecodeString(c.keyBytes)
		if err == nil && len(s.KeyBytes) == 0 {
			err = errors.New("nothing is given: an empty key is chosen with --key \"\"")
		}
		wrong("key-base64", err)
	}
	if s.Key != nil && s.KeyBytes != nil {
		wrong("key", errors.New("is given together with --key-base64: a letter has one key"))
	}
	for _, h := range c.headers {
		name, value, valued := strings.Cut(h, "=")
		one := letters.HasOne{Name: name}
		if valued {
			one.Value = &value
		}
		if name == "" {
			wrong("header", fmt.Errorf("%q has no name: give NAME or NAME=VALUE", h))
		}
		wrong("header", isText(h))
		s.Headers = append(s.Headers, one)
	}
	if given("partition") {
		s.Partition = &c.partition
	}
	if given("offset") {
		wrong("offset", c.offsets(&s))
	}
	for _, t := range []struct {
		flag, text string
		into       **time.Time
	}{{"since", c.since, &s.Since}, {"until", c.until, &s.Until}} {
		if given(t.flag) {
			at, err := timeOrAgo(t.text, now)
			*t.into = &at
			wrong(t.flag, err)
		}
	}
	if c.limit < 0 {
		wrong("limit", fmt.Errorf("%d is not allowed: give the most there may be, or 0 for all", c.limit))
	}
	if len(errs) == 0 {
		errs = append(errs, s.Check(any))
	}
	return s, errors.Join(errs...)
}

// offsets reads an offset or a range.
func (c *chosen) offsets(s *letters.Selection) error {
	number := func(text string) (*int64, error) {
		if text == "" {
			return nil, nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no offset: give 17, 17-42, 17- or -42", c.offset)
		}
		return &n, nil
	}
	first, last, ranged := strings.Cut(c.offset, "-")
	from, err1 := number(first)
	to, err2 := number(last)
	switch {
	case err1 != nil || err2 != nil:
		return errors.Join(err1, err2)
	case from == nil && to == nil:
		_, err := number("?")
		return err
	case !ranged:
		s.Offset = from
	default:
		s.From, s.To = from, to
	}
	return nil
}

// isText refuses what the record of a job could not tell.
func isText(given string) error {
	if !utf8.ValidString(given) {
		return errors.New("this is no UTF-8: choose keys that are no text with --key-base64")
	}
	return nil
}

// timeOrAgo reads a time, or how long ago it was.
func timeOrAgo(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago).UTC().Truncate(time.Millisecond), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is no time: give one such as 2026-11-20T00:00:00Z, or how long ago, such as 24h or 90m", text)
	}
	return at.UTC(), nil
}
