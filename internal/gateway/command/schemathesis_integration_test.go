//go:build integration && unix

package command

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/fetched"
)

const schemathesisVersion = "4.32.5"

// schemathesis is the folder of its packages for Python, which pip fetches once.
func schemathesis(t *testing.T) string {
	t.Helper()
	sum := sha256.Sum256([]byte(schemathesisVersion))
	dir, have := fetched.Folder("schemathesis", schemathesisVersion, sum[:])
	if have {
		return dir
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := fetched.Make(dir, func(part string) (string, error) {
		return part, fetched.Pip(ctx, part, "schemathesis=="+schemathesisVersion)
	}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What /openapi.json says is so: requests that schemathesis makes of it, good ones and bad ones, are answered with no 5xx, and with statuses, types
// and bodies that it describes; methods that it does not describe are refused.
//
// Mutation seen to fail it: an empty body that panics.
func TestTheAPIIsAsItIsDescribed(t *testing.T) {
	dir := schemathesis(t)
	address, end := live(t, "")
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport}).Get("http://" + address + "/v3/clusters")
	if err != nil {
		t.Fatal(err)
	}
	clusters, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	id := regexp.MustCompile(`"cluster_id":"([^"]+)"`).FindSubmatch(clusters)
	if id == nil {
		t.Fatalf("%s", clusters)
	}
	config := filepath.Join(t.TempDir(), "schemathesis.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[parameters]\ntopic = %q\ncluster = %q\n", orders, id[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", "-m", "schemathesis.cli", "--config-file", config, "run", "http://"+address+"/openapi.json", "--max-examples", "30", "--seed", "1",
		"--phases", "examples,coverage,fuzzing", "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1", "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := regexp.MustCompile(`(\d+) generated, \d+ passed`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("%s", out)
	}
	if n, _ := strconv.Atoi(string(found[1])); n < 100 {
		t.Errorf("%d requests are no test:\n%s", n, out)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}
