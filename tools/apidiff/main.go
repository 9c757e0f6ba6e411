// Apidiff compares what users can import with the last release: the newest tag v... that is an ancestor of what is checked out.
// A change that makes programs fail to compile is a mistake, unless the section Unreleased of CHANGELOG.md has the word
// "Breaking". Where there is no release yet, it says so and passes.
//
// It looks at the exported names of all packages that are neither internal nor programs, without those that a package exports for
// Weir's own packages (a section of its doc comment, see docs/public-line.md), and at internal types to which a public package
// gives a name. An internal type that moves is reported, too: to the compiler it is another one.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	dir := flag.String("C", ".", "folder of the module")
	flag.Parse()
	if err := run(*dir, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "apidiff:", err)
		os.Exit(1)
	}
}

// run compares a module with its last release and says on out what it found.
func run(dir string, out io.Writer) error {
	tag, err := lastRelease(dir)
	if err != nil {
		return err
	}
	if tag == "" {
		fmt.Fprintln(out, "apidiff: NOT COMPARED: there is no release (a tag v...) yet, or this clone has no tags")
		return nil
	}
	scratch, err := os.MkdirTemp("", "weir-apidiff-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := extract(dir, tag, scratch); err != nil {
		return fmt.Errorf("extract %s: %w", tag, err)
	}
	released, err := load(scratch)
	if err != nil {
		return fmt.Errorf("%s: %w", tag, err)
	}
	present, err := load(dir)
	if err != nil {
		return err
	}

	incompatible, compatible := 0, 0
	for _, c := range changes(released, present) {
		if c.Compatible {
			compatible++
			continue
		}
		incompatible++
		fmt.Fprintf(out, "  %s\n", c.Message)
	}
	fmt.Fprintf(out, "apidiff: %d incompatible and %d compatible changes since %s\n", incompatible, compatible, tag)
	if incompatible == 0 {
		return nil
	}
	announced, err := announcesBreaking(filepath.Join(dir, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	if !announced {
		return errors.New(`programs that use Weir may not compile any more; where that is meant, say "Breaking" in the section Unreleased of CHANGELOG.md`)
	}
	return nil
}

// lastRelease is the newest tag of a release before what is checked out, "" where there is none.
func lastRelease(dir string) (string, error) {
	tags, err := git(dir, "-c", "versionsort.suffix=-", "tag", "--list", "v[0-9]*", "--merged", "HEAD", "--sort", "-version:refname")
	if err != nil {
		return "", err
	}
	tag, _, _ := strings.Cut(string(tags), "\n")
	return tag, nil
}

// extract writes the files of a tag to a folder.
func extract(dir, tag, to string) error {
	archive, err := git(dir, "archive", "--format=tar", tag)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for files := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(filepath.Clean(h.Name), 0o755)
		case tar.TypeReg:
			var content []byte
			if content, err = io.ReadAll(files); err == nil {
				err = root.WriteFile(h.Name, content, 0o644)
			}
		}
		if err != nil {
			return err
		}
	}
}

func git(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

var (
	unreleased = regexp.MustCompile(`(?ms)^## Unreleased\s*$(.*?)(\n## |\z)`)
	breaking   = regexp.MustCompile(`\bBreaking\b`)
)

// announcesBreaking says whether the changelog's section Unreleased says that something breaks.
func announcesBreaking(changelog string) (bool, error) {
	text, err := os.ReadFile(changelog)
	if err != nil {
		return false, err
	}
	section := unreleased.FindSubmatch(text)
	return section != nil && breaking.Match(section[1]), nil
}
