package registry

import (
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
)

// writable refuses changes of what is read-only.
func (s *state) writable(subject string) error {
	if strings.HasPrefix(s.mode(subject), "READONLY") {
		return notPermitted("Subject %s is in read-only mode", subject)
	}
	return nil
}

// remember is a record that keeps the ids of schemas from being given again when these are gone.
func (s *state) remember() kafka.Outgoing {
	out := record(recordKey{Keytype: "NOOP"}, mark{MaxIDs: s.maxIDs})
	out.Key = []byte(rememberKey)
	return out
}

// deleteSubject plans the deletion of a subject, and tells the versions that go. Deleted softly, a version is still found by its
// id, and by who asks for deleted ones; for good, it is gone.
func (s *state) deleteSubject(subject string, permanent bool) ([]int, []kafka.Outgoing, error) {
	if err := s.writable(subject); err != nil {
		return nil, nil, err
	}
	all, live := s.versions(subject, true), s.versions(subject, false)
	going := live
	if permanent {
		going = all
	}
	var versions []int
	for _, e := range going {
		by := s.referencedBy(subject, e.Version, permanent)                                 // a deleted version is still read by its id, with what it refers to
		if slices.ContainsFunc(by, func(by *Entry) bool { return by.Subject != subject }) { // its own versions go as well
			return nil, nil, referenceExists(subject, e.Version)
		}
		versions = append(versions, e.Version)
	}
	switch {
	case len(all) == 0:
		return nil, nil, noSubject(subject)
	case permanent && len(live) > 0:
		return nil, nil, subjectNotSoftDeleted(subject)
	case !permanent && len(live) == 0:
		return nil, nil, subjectSoftDeleted(subject)
	}
	if permanent {
		records := []kafka.Outgoing{s.remember()}
		for _, v := range versions {
			records = append(records, s.gone(schemaKey(subject, v))...)
		}
		return versions, append(records, s.unset(subject)...), nil
	}
	key := recordKey{Keytype: "DELETE_SUBJECT", Subject: &subject}
	records := []kafka.Outgoing{record(key, map[string]any{"subject": subject, "version": versions[len(versions)-1]})}
	return versions, records, nil
}

// unset are the records that remove the settings of a subject that is gone for good: one of its name that comes later has those that hold for all.
func (s *state) unset(subject string) (records []kafka.Outgoing) {
	if _, ok := s.modes[subject]; ok {
		records = append(records, s.gone(scoped("MODE", subject))...)
	}
	if _, ok := s.configs[subject]; ok {
		records = append(records, s.gone(scoped("CONFIG", subject))...)
	}
	return records
}

func (s *state) deleteVersion(subject, version string, permanent bool) (int, []kafka.Outgoing, error) {
	if err := s.writable(subject); err != nil {
		return 0, nil, err
	}
	e, err := s.version(subject, version, true)
	if err != nil {
		return 0, nil, err
	}
	switch {
	case !permanent && e.Deleted:
		return 0, nil, versionSoftDeleted(subject, e.Version)
	case len(s.referencedBy(subject, e.Version, permanent)) > 0:
		return 0, nil, referenceExists(subject, e.Version)
	case permanent && !e.Deleted:
		return 0, nil, versionNotSoftDeleted(subject, e.Version)
	case permanent:
		records := append([]kafka.Outgoing{s.remember()}, s.gone(schemaKey(subject, e.Version))...)
		if len(s.subjects[subject]) == 1 { // with its last version the subject is gone
			records = append(records, s.unset(subject)...)
		}
		return e.Version, records, nil
	}
	gone := *e
	gone.Deleted = true
	return e.Version, []kafka.Outgoing{record(schemaKey(subject, e.Version), entryValue(&gone))}, nil
}

// version finds a version of a subject by its number or "latest", which is a deleted one only where all are.
func (s *state) version(subject, version string, deleted bool) (*Entry, error) {
	n, err := versionNumber(version)
	if err != nil {
		return nil, err
	}
	all := s.versions(subject, deleted)
	switch {
	case len(all) == 0:
		return nil, noSubject(subject)
	case n < 0:
		if live := s.versions(subject, false); len(live) > 0 {
			all = live
		}
		return all[len(all)-1], nil
	}
	at := slices.IndexFunc(all, func(e *Entry) bool { return e.Version == n })
	if at < 0 {
		return nil, noVersion(n)
	}
	return all[at], nil
}
