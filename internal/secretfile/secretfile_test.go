//go:build unix

package secretfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Mutations seen to fail this test: only the others' bit looked at for writing; Lstat in the place of Stat; the warning
// for others' reading made an error.
func TestWhatOthersCanWriteIsRefusedAndWhatTheyCanReadIsWarnedOf(t *testing.T) {
	for _, c := range []struct {
		mode    os.FileMode
		refused bool
		warning string
	}{
		{0o400, false, ""}, {0o600, false, ""}, {0o440, false, "group"}, {0o640, false, "group"},
		{0o444, false, "every user"}, {0o644, false, "every user"}, {0o604, false, "every user"},
		{0o620, true, ""}, {0o602, true, ""}, {0o660, true, ""}, {0o664, true, ""}, {0o666, true, ""}, {0o777, true, ""},
	} {
		for _, link := range []bool{false, true} {
			dir := t.TempDir()
			path := filepath.Join(dir, "..data-secret")
			if err := os.WriteFile(path, []byte("hunter2"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			if link { // as Kubernetes mounts them; the mode of the link itself says 0777
				name := filepath.Join(dir, "password")
				if err := os.Symlink("..data-secret", name); err != nil {
					t.Fatal(err)
				}
				path = name
			}
			data, warning, err := Read(path)
			checked, checkErr := Check(path)
			if IsWritable(err) != c.refused || IsWritable(checkErr) != c.refused || warning != checked {
				t.Errorf("%#o: read: %v, %q; check: %v, %q", c.mode, err, warning, checkErr, checked)
			}
			if !c.refused && string(data) != "hunter2" || (warning == "") != (c.warning == "") || !strings.Contains(warning, c.warning) {
				t.Errorf("%#o: %q, warning %q, %v", c.mode, data, warning, err)
			}
			if err != nil && (!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "chmod")) || strings.Contains(warning, "hunter2") {
				t.Errorf("%#o: %v, %q", c.mode, err, warning)
			}
		}
	}
}

// Mutation: no limit.
func TestAFileWithoutAnEndIsRefused(t *testing.T) {
	if _, _, err := Read("/dev/zero"); err == nil || !strings.Contains(err.Error(), "/dev/zero: has more than 1024 KiB") {
		t.Errorf("a device: %v", err)
	}
	if _, _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}
