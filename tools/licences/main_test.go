package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Mutation seen to fail this test: the case of restricting licences behind that of Apache.
func TestLicencesAreKnownByTheirWords(t *testing.T) {
	const mit = "Permission is hereby granted, free of charge, to any person\nobtaining a copy of this software"
	for text, want := range map[string]string{
		"MIT License\n\n" + mit:                                          "MIT",
		"Apache License\n Version 2.0, January":                          "Apache-2.0",
		"Mozilla Public License, version 2.0 GNU General Public License": "MPL-2.0",
		"GNU GENERAL PUBLIC LICENSE Version 3":                           "a GNU licence",
		"GNU LESSER GENERAL PUBLIC LICENSE":                              "a GNU licence",
		"\"Commons Clause\" Apache License Version 2.0":                  "one that restricts use",
		"All rights reserved.":                                           "",
		"Redistribution and use in source and binary forms: Redistributions of source code must retain": "BSD",
	} {
		if got := classify(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAModuleWithoutAKnownLicenceIsRefused(t *testing.T) {
	dir := t.TempDir()
	if got, err := of(dir); err == nil {
		t.Errorf("no file: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE.md"), []byte("do as I say"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := of(dir); err == nil {
		t.Errorf("unknown words: %s", got)
	}
}
