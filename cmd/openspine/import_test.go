package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
)

// An import that is killed (SIGKILL) again and again, and started again each time, ends as one that was left in peace: everything is
// there, in one version, and each that was refused, here and there among the others, is counted once.
func TestAKilledImportGoesOn(t *testing.T) {
	const people, odd = 6000, 400
	const refused = people/odd + 1
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	file := filepath.Join(dir, "people.ndjson")
	var b bytes.Buffer
	for i := range people {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%05d","name":[{"family":"Family%d"}]}`+"\n", i, i)
		if i%odd == 0 {
			fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%05d-odd","colour":"green"}`+"\n", i)
		}
	}
	b.WriteString("{\n")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := exec.LookPath("openspine")
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	var out strings.Builder
	for try := 0; ; try++ {
		if try == 50 {
			t.Fatalf("the import came to no end:\n%s", out.String())
		}
		out.Reset()
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
		cmd := exec.CommandContext(ctx, self, "import", "--data", data, "--batch", "500", file)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if kills < 4 {
			// Killed when the record has grown since the last time: in the middle of a batch or between two.
			was := sizeOf(data)
			for end := time.Now().Add(time.Minute); sizeOf(data) < was+200_000*int64(try+1) && time.Now().Before(end) && cmd.ProcessState == nil; {
				time.Sleep(2 * time.Millisecond)
			}
			if cmd.Process.Kill() == nil {
				kills++
			}
		}
		said, err := io.ReadAll(stdout)
		if err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		stop()
		if strings.Contains(string(said), "imported") {
			if want := fmt.Sprintf("imported %d, refused %d,", people, refused); !strings.Contains(string(said), want) || err == nil {
				t.Errorf("it says %q (%v), want %q and a failure for what was refused\n%s", said, err, want, out.String())
			}
			break
		}
	}
	t.Logf("killed %d times; the last said %s", kills, out.String())
	each := versions(t, data)
	for i := range people {
		if n := each[fmt.Sprintf("p%05d", i)]; n != 1 {
			t.Fatalf("p%05d is there in %d versions", i, n)
		}
	}
	if len(each) != people {
		t.Errorf("%d people are there", len(each))
	}
}

// sizeOf is how large the files of a folder are.
func sizeOf(dir string) (size int64) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// versions are how many versions each patient of a node's national tenant has.
func versions(t *testing.T, data string) map[string]int {
	t.Helper()
	ctx := context.Background()
	n, err := node.Open(ctx, node.Config{Name: "national", Data: data, National: "X26", Tenants: []node.TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}}, node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	k := n.Kernel()
	scope, err := k.Gate.DecideSet(ctx, access.Service("test", k.National), access.History, k.National, []string{"Patient"})
	if err != nil {
		t.Fatal(err)
	}
	each := map[string]int{}
	for cursor := ""; ; {
		page, err := k.Records.HistoryOf(ctx, scope, []string{"Patient"}, record.Period{Count: 1000, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			each[v.ID]++
		}
		if cursor = page.Next; cursor == "" {
			return each
		}
	}
}
