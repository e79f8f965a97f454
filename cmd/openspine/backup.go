package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store"
)

// A backup is a tar of the database of one instant, the log in which the account is sealed, and the small files without which a
// restored node would be another one. The log is copied after the database, so that it holds at least every seal that the
// database knows of. Whoever has a backup has the node's keys: keep it as the node itself is kept.
const (
	backupDatabase = "database"
	backupAccount  = "account"
	backupKept     = "kept"
)

// kept are the small files of a data folder: which country a demonstration is, and the keys of the node's tokens.
func kept(data string) []string {
	names := []string{countryFile}
	keys, _ := filepath.Glob(filepath.Join(data, "issuer*.pem")) // the pattern is a good one
	for _, k := range keys {
		names = append(names, filepath.Base(k))
	}
	return names
}

// mayKeep reports whether a small file of that name belongs in a backup.
func mayKeep(name string) bool {
	key, _ := filepath.Match("issuer*.pem", name) // the pattern is a good one
	return name == countryFile || key
}

// where says which node's data a command is about.
type where struct {
	Data     string `default:"openspine-data" help:"The node's data folder." type:"path"`
	Database string `env:"OPENSPINE_DATABASE" help:"A PostgreSQL URL, when the node's database is not in the data folder."`
}

func (w where) url() string {
	if w.Database != "" {
		return w.Database
	}
	return node.DatabasePath(w.Data)
}

// there is a clear error when the data folder holds no node.
func (w where) there() error {
	if w.Database != "" {
		return nil
	}
	if _, err := os.Stat(w.url()); err != nil {
		return fault.Wrap(err, fault.NotFound, "there is no node's data in %s; name its folder with --data", w.Data)
	}
	return nil
}

type backupCommand struct {
	where `embed:""`
	To    string `arg:"" help:"The file to make; it must not be there yet." type:"path"`

	KeysUnder string `help:"Include the keys of the network and the mailboxes, enciphered under the secret in this file; it is made if it is not there. Keep it elsewhere than the backups." type:"path"`
}

// Run copies the database as of one instant, and the account's log, while the node goes on.
func (c *backupCommand) Run(s *session) error {
	if err := c.there(); err != nil {
		return err
	}
	db, err := store.Open(s.ctx, c.url(), store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	temp, err := os.CreateTemp(filepath.Dir(c.To), ".backup-*")
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot write beside %s: %v", c.To, err)
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	if err := db.Backup(s.ctx, temp); err != nil {
		return err
	}
	if _, err := temp.Seek(0, io.SeekStart); err != nil {
		return err
	}
	manifest, err := store.VerifyBackup(temp)
	if err != nil {
		return err
	}
	sealed, made, err := c.keys()
	if err != nil {
		return err
	}
	if err := writeTar(c.To, temp, c.Data, sealed); err != nil {
		return err
	}
	if _, err = fmt.Fprintf(s.stdout, "backed up %d tables as of %s to %s, and checked it\n", len(manifest.Tables), manifest.At.UTC().Format("2006-01-02 15:04:05Z"), c.To); err != nil {
		return err
	}
	if made {
		fmt.Fprintf(s.stdout, "made the secret %s: without it the keys in the backup are lost, with both anybody can pass for this node\n", c.KeysUnder)
	}
	if sealed == nil {
		return lacks(s.stdout, c.Data)
	}
	return nil
}

// keys are those of the node, enciphered; nil when they are not asked for, or there are none.
func (c *backupCommand) keys() (sealed []byte, made bool, err error) {
	if c.KeysUnder == "" {
		return nil, false, nil
	}
	plain, err := packKeys(c.Data)
	if err != nil || plain == nil {
		return nil, false, err
	}
	secret, made, err := secretOf(c.KeysUnder, true)
	if err == nil {
		sealed, err = sealKeys(secret, plain)
	}
	return sealed, made, err
}

func writeTar(path string, database *os.File, data string, sealed []byte) (err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Conflict, "cannot make %s: %v", path, err)
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	t := tar.NewWriter(out)
	if _, err := database.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := addFile(t, backupDatabase, database); err != nil {
		return err
	}
	if err := addFolder(t, filepath.Join(data, backupAccount)); err != nil {
		return err
	}
	for _, name := range kept(data) {
		if err := addNamed(t, backupKept+"/"+name, filepath.Join(data, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if sealed != nil {
		if err := t.WriteHeader(&tar.Header{Name: backupKeys, Mode: 0o600, Size: int64(len(sealed))}); err != nil {
			return err
		}
		if _, err := t.Write(sealed); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return out.Sync()
}

// addFolder adds the files of the account's log. What the node has only just made to be renamed may be gone again: it is not part
// of the log yet.
func addFolder(t *tar.Writer, account string) error {
	err := filepath.WalkDir(account, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".new-") {
			return err
		}
		rel, err := filepath.Rel(account, name)
		if err != nil {
			return err
		}
		err = addNamed(t, backupAccount+"/"+filepath.ToSlash(rel), name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func addNamed(t *tar.Writer, as, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return addFile(t, as, f)
}

func addFile(t *tar.Writer, name string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, info.Size())
	return err
}

type restoreCommand struct {
	where `embed:""`
	From  string `arg:"" help:"The backup file." type:"existingfile"`

	KeysUnder string `help:"The file with the secret under which the backup's keys are enciphered; without it they are left out." type:"path"`
}

// Run puts a backup into an empty place. The database gets a new incarnation, so that its peers know that time was lost.
func (c *restoreCommand) Run(s *session) error {
	folder, err := node.TakeFolder(c.Data)
	if err != nil {
		return err
	}
	return errors.Join(c.restore(s), folder.Release())
}

func (c *restoreCommand) restore(s *session) error {
	if !node.EmptyFolder(c.Data) {
		return fault.New(fault.Conflict, "%s is not empty; a backup is never restored over data. Name an empty folder with --data", c.Data)
	}
	in, err := os.Open(c.From)
	if err != nil {
		return err
	}
	defer in.Close()
	database, err := os.CreateTemp(c.Data, ".restore-*")
	if err != nil {
		return err
	}
	defer os.Remove(database.Name())
	defer database.Close()
	sealed, err := readTar(in, database, c.Data)
	if err != nil {
		return err
	}
	if err := c.keys(sealed); err != nil {
		return err
	}
	if _, err := database.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := store.Restore(s.ctx, database, c.url(), store.Options{}); err != nil {
		return err
	}
	said := fmt.Sprintf("restored %s into %s, under a new incarnation\n", c.From, c.Data)
	switch {
	case sealed == nil:
		said += restoredWithout
	case c.KeysUnder == "":
		said += "Its keys were left out: they are enciphered, and --keys-under names no secret.\n"
	default:
		said += "Its keys were put back: the node that was backed up must not run any more.\n"
	}
	_, err = io.WriteString(s.stdout, said)
	return err
}

// keys puts the keys back that a backup holds, if the secret is there.
func (c *restoreCommand) keys(sealed []byte) error {
	if sealed == nil || c.KeysUnder == "" {
		return nil
	}
	secret, _, err := secretOf(c.KeysUnder, false)
	if err != nil {
		return err
	}
	plain, err := openKeys(secret, sealed)
	if err != nil {
		return err
	}
	return putKeys(c.Data, plain)
}

// readTar puts the files of a backup in their places, and returns its keys as they are, enciphered; nil when it holds none.
func readTar(in io.Reader, database *os.File, data string) (sealed []byte, err error) {
	t := tar.NewReader(in)
	found := false
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Unprocessable, "this is not a backup, or it is damaged: %v", err)
		}
		if h.Name == backupDatabase {
			found = true
			if _, err := io.Copy(database, t); err != nil {
				return nil, fault.Wrap(err, fault.Unprocessable, "the backup is cut short: %v", err)
			}
			continue
		}
		if h.Name == backupKeys {
			if sealed, err = io.ReadAll(io.LimitReader(t, mostKeysBytes)); err != nil {
				return nil, fault.Wrap(err, fault.Unprocessable, "the backup is cut short: %v", err)
			}
			continue
		}
		path, err := placeOf(h.Name, data)
		if err != nil {
			return nil, err
		}
		if err := extract(path, t); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, fault.New(fault.Unprocessable, "this is not a backup: it holds no database")
	}
	return sealed, nil
}

// placeOf is where a file of a backup belongs; nothing is ever put outside the data folder.
func placeOf(name, data string) (string, error) {
	if rel, ok := strings.CutPrefix(name, backupAccount+"/"); ok && filepath.IsLocal(rel) {
		return filepath.Join(data, backupAccount, filepath.FromSlash(rel)), nil
	}
	if rel, ok := strings.CutPrefix(name, backupKept+"/"); ok && mayKeep(rel) {
		return filepath.Join(data, rel), nil
	}
	return "", fault.New(fault.Unprocessable, "the backup holds %q, which no backup does", name)
}

func extract(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}
