package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/openspine/openspine/store/storetest"
)

// databaseVariable says which database every command uses.
const databaseVariable = "OPENSPINE_DATABASE="

// databases are, for each script, the PostgreSQL database of each of its data folders.
type databases map[string]map[string]string

// sqliteOnly are the scripts that are about the file of SQLite.
func sqliteOnly() map[string]bool { return map[string]bool{"damaged.txtar": true} }

var (
	dataFlag    = regexp.MustCompile(`--data (?:\./)?(\w+)`)
	dataSetting = regexp.MustCompile(`(?m)^data: (\w+)$`)
)

// onPostgres copies the scripts of a folder so that each of their data folders has a database on PostgreSQL.
func onPostgres(t *testing.T, from string) (dir string, urls databases) {
	t.Helper()
	seedPostgres(t)
	scripts, err := filepath.Glob(filepath.Join(from, "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatal("there are no scripts", err)
	}
	dir, urls = t.TempDir(), databases{}
	for _, path := range scripts {
		name := filepath.Base(path)
		if sqliteOnly()[name] {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		of := map[string]string{}
		url := func(data string) string {
			if of[data] == "" {
				of[data] = storetest.PostgresURL(t)
			}
			return of[data]
		}
		script := dataFlag.ReplaceAllStringFunc(string(text), func(found string) string {
			data := dataFlag.FindStringSubmatch(found)[1]
			url(data)
			return found + " --database=${database_" + data + "}"
		})
		script = dataSetting.ReplaceAllStringFunc(script, func(found string) string {
			return found + "\ndatabase: \"" + url(dataSetting.FindStringSubmatch(found)[1]) + "\""
		})
		urls[strings.TrimSuffix(name, ".txtar")] = of
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, urls
}

// scriptOf is the name of the script that runs in a folder, as testscript names it.
func scriptOf(work string) string { return strings.TrimPrefix(filepath.Base(work), "script-") }

// postgresCountry is a demonstration that was seeded once on PostgreSQL, as a backup.
var postgresCountry struct {
	once sync.Once
	file string
	err  error
}

// seedPostgres makes the backup from which each test takes its country.
func seedPostgres(t *testing.T) {
	t.Helper()
	url := storetest.PostgresURL(t)
	c := &postgresCountry
	c.once.Do(func() {
		dir, err := seedCountry(url)
		if err != nil {
			c.err = err
			return
		}
		c.file = filepath.Join(dir, "saved")
		c.err = tool(url, "backup", "--data", filepath.Join(dir, "data"), c.file)
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
}

func restoreCountry(data, url string) error {
	if err := tool(url, "restore", "--data", data, postgresCountry.file); err != nil {
		return err
	}
	return tool(url, "numbers", "--data", data) // none was given out since
}

// tool runs openspine on a database.
func tool(database string, args ...string) error {
	cmd := exec.Command("openspine", args...)
	cmd.Env = append(os.Environ(), databaseVariable+database)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("openspine %v: %w: %s", args, err, said)
	}
	return nil
}
