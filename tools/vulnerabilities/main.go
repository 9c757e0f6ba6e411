// Vulnerabilities runs govulncheck over a module: it fails when the module's code reaches a function with a known
// vulnerability. Where the database cannot be reached, or does not answer in time, it says so and does not fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	database    = "https://vuln.go.dev"
	reachWithin = 15 * time.Second
	checkWithin = 5 * time.Minute
	// What govulncheck exits with when it has found something.
	exitFound = 3
)

func main() {
	dir := flag.String("C", ".", "folder of the module")
	db := flag.String("db", database, "address of the database")
	flag.Parse()
	if err := reach(*db); err != nil {
		fmt.Printf("vulnerabilities: NOT CHECKED: the database cannot be reached: %v\n", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "tool", "govulncheck", "-db", *db, "-C", *dir, "./...")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		fmt.Println("vulnerabilities: none is known in what is called")
	case ctx.Err() != nil:
		fmt.Printf("vulnerabilities: NOT CHECKED: no answer within %s\n", checkWithin)
	case errors.As(err, &exit) && exit.ExitCode() == exitFound:
		fmt.Printf("%s\nvulnerabilities: found, see above\n", out)
		os.Exit(1)
	case reach(*db) != nil:
		fmt.Printf("vulnerabilities: NOT CHECKED: the database went away: %v\n", err)
	default:
		fmt.Printf("%s\nvulnerabilities: govulncheck failed: %v\n", out, err)
		os.Exit(1)
	}
}

// reach asks for the smallest file of the database.
func reach(db string) error {
	if strings.HasPrefix(db, "file://") {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), reachWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, db+"/index/db.json", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", db, res.Status)
	}
	return nil
}
