// Licences checks that every module in the programs of another module has a licence that Weir's own (Apache-2.0) goes with.
// It reads the module cache only, and so runs without a network once the modules are there.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// allowed are licences that ask for their text to go along, and, MPL-2.0, for changes of their own files to be open.
var allowed = []string{"Apache-2.0", "MIT", "BSD", "ISC", "MPL-2.0"}

func main() {
	dir := flag.String("C", ".", "folder of the module")
	verbose := flag.Bool("v", false, "list every module with its licence")
	flag.Parse()
	modules, err := linked(*dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
	bad := 0
	for _, m := range modules {
		licence, err := of(m.Dir)
		if err == nil && !slices.Contains(allowed, licence) {
			err = fmt.Errorf("the licence is %s, and allowed are %s", licence, strings.Join(allowed, ", "))
		}
		if err != nil {
			bad++
			fmt.Fprintf(os.Stderr, "licences: %s %s: %v\n", m.Path, m.Version, err)
		} else if *verbose {
			fmt.Printf("%-50s %s\n", m.Path, licence)
		}
	}
	fmt.Printf("licences: %d modules, %d refused\n", len(modules), bad)
	if bad > 0 || len(modules) == 0 {
		os.Exit(1)
	}
}

type module struct {
	Path, Version, Dir string
	Main               bool
}

// linked are the modules with a package in a program or a test of the module.
func linked(dir string) ([]module, error) {
	cmd := exec.Command("go", "list", "-deps", "-test", "-json=Module", "./...")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list dependencies: %w", err)
	}
	var list []module
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ Module *module }
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Module != nil && !p.Module.Main && !slices.Contains(list, *p.Module) {
			list = append(list, *p.Module)
		}
	}
	slices.SortFunc(list, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// of is the licence of a module in the cache: that of the first file whose name says that it is one. Files in folders below
// may add others for parts; those of what is vendored there are not looked for.
func of(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, prefix := range []string{"LICENSE", "LICENCE", "COPYING", "UNLICENSE"} {
		for _, e := range entries {
			if e.IsDir() || !strings.HasPrefix(strings.ToUpper(e.Name()), prefix) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return "", err
			}
			if name := classify(string(text)); name != "" {
				return name, nil
			}
			return "", fmt.Errorf("%s is a licence that is not known here: read it, and add its words to classify", e.Name())
		}
	}
	return "", errors.New("it has no licence file")
}

// classify knows a licence by words that its text cannot do without.
func classify(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	head := text[:min(len(text), 300)]
	has := func(words string) bool { return strings.Contains(text, words) }
	switch {
	case has("commons clause"), has("business source license"), has("server side public license"), has("elastic license"):
		return "one that restricts use"
	case strings.Contains(head, "mozilla public license") && strings.Contains(head, "2.0"):
		return "MPL-2.0" // its text names the GPL, as a second licence that it goes with
	case strings.Contains(head, "gnu "), has("gnu affero general public license"), has("gnu general public license"):
		return "a GNU licence"
	case has("apache license") && has("version 2.0"):
		return "Apache-2.0"
	case has("permission is hereby granted, free of charge, to any person obtaining a copy"):
		return "MIT"
	case has("redistribution and use in source and binary forms") && has("redistributions of source code must retain"):
		return "BSD"
	case has("permission to use, copy, modify, and/or distribute this software for any purpose"),
		has("permission to use, copy, modify, and distribute this software for any purpose"):
		return "ISC"
	}
	return ""
}
