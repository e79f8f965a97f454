package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/note"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
)

// Options say how the account is kept. The zero value is right for a node.
type Options struct {
	// Clock paces Run; the system's by default.
	Clock clock.Clock
	// Logger is told when a seal fails and is tried again; nothing is logged by default.
	Logger *slog.Logger
	// Name is the origin line of the log's checkpoints, "openspine/audit" by default. It is fixed when the keys are made.
	Name string
	// Every is how often Run seals; 400 ms by default.
	Every time.Duration
}

// Log is the account of one database, with its seal in one folder. It is safe for use by many goroutines; one process at a
// time seals, any number may read and verify.
type Log struct {
	db    *store.DB
	dir   string
	opt   Options
	names *names
	keys  keys

	gather gathering

	seal sync.Mutex // held while sealing
	open *opened    // the log, once something was sealed

	archiving sync.Mutex // held while archiving
	unzip     *zstd.Decoder
	sizes     sizes
	stepped   func(step string) error // nil but in tests of archiving

	mu      sync.Mutex
	dirty   map[store.Lane]bool
	tails   map[store.Lane]tail
	indexes map[string]*archiveFile // of archives, by digest
}

// tail is where the seals of a lane end.
type tail struct{ batch, last int64 }

// keys are what the seal rests on: the checkpoint's signing key and the secret that salts the leaves.
type keys struct {
	signer   note.Signer
	verifier note.Verifier
	secret   []byte
}

// Open opens the account kept in db, whose seal is in dir. The folder, the signing key and the salt are made at the first
// opening, readable by their owner only: without the salt nothing can be verified, so back the folder up with the database.
// Errors: fault.Unavailable when the folder or the keys cannot be read or made.
func Open(db *store.DB, dir string, o Options) (*Log, error) {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Name == "" {
		o.Name = "openspine/audit"
	}
	if o.Every <= 0 {
		o.Every = 400 * time.Millisecond
	}
	k, err := loadKeys(dir, o.Name)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the audit folder's keys cannot be read or made; check its owner and permissions")
	}
	l := &Log{db: db, dir: dir, opt: o, names: newNames(), keys: k, dirty: map[store.Lane]bool{}, tails: map[store.Lane]tail{}, indexes: map[string]*archiveFile{}, sizes: usualSizes()}
	if l.unzip, err = newArchiveDecoder(); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "making the reader of archives")
	}
	if err := l.loadTails(); err != nil {
		return nil, err
	}
	return l, nil
}

// VerifierKey is the public key of the checkpoints, as C2SP signed-note writes it, to hand to those who check or cosign them.
func (l *Log) VerifierKey() (string, error) {
	b, err := os.ReadFile(filepath.Join(l.dir, "signer.pub"))
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "the audit log's public key cannot be read")
	}
	return strings.TrimSpace(string(b)), nil
}

// Checkpoint is the newest signed checkpoint, or fault.NotFound before the first seal.
func (l *Log) Checkpoint() (string, error) {
	b, err := os.ReadFile(filepath.Join(l.logDir(), "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.NotFound, "nothing has been sealed yet")
	}
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "the audit log's checkpoint cannot be read")
	}
	return string(b), nil
}

func (l *Log) logDir() string { return filepath.Join(l.dir, "log") }

func loadKeys(dir, name string) (keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return keys{}, err
	}
	var k keys
	secret, err := loadOrMake(filepath.Join(dir, "salt.key"), 0o600, func() ([]byte, error) {
		b := make([]byte, 32)
		_, err := rand.Read(b)
		return b, err
	})
	if err != nil {
		return keys{}, err
	}
	if len(secret) != 32 {
		return keys{}, errors.New("salt.key is not 32 bytes")
	}
	k.secret = secret
	var public []byte
	private, err := loadOrMake(filepath.Join(dir, "signer.key"), 0o600, func() ([]byte, error) {
		skey, vkey, err := note.GenerateKey(rand.Reader, name)
		public = []byte(vkey + "\n")
		return []byte(skey + "\n"), err
	})
	if err != nil {
		return keys{}, err
	}
	if public != nil {
		if err := writeFile(filepath.Join(dir, "signer.pub"), public, 0o644); err != nil {
			return keys{}, err
		}
	}
	if public, err = os.ReadFile(filepath.Join(dir, "signer.pub")); err != nil {
		return keys{}, err
	}
	if k.signer, err = note.NewSigner(strings.TrimSpace(string(private))); err != nil {
		return keys{}, err
	}
	k.verifier, err = note.NewVerifier(strings.TrimSpace(string(public)))
	return k, err
}

func loadOrMake(path string, mode fs.FileMode, make func() ([]byte, error)) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = make(); err != nil {
		return nil, err
	}
	return b, writeFile(path, b, mode)
}

// writeFile makes a file that is there whole or not at all, also after a power cut.
func writeFile(path string, b []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// touch notes that a lane has entries to seal.
func (l *Log) touch(lane store.Lane) {
	l.mu.Lock()
	l.dirty[lane] = true
	l.mu.Unlock()
}

func (l *Log) sealedTo(lane store.Lane) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tails[lane].last
}

// loadTails reads where the seals of each lane end, and takes every lane that has entries as dirty.
func (l *Log) loadTails() error {
	return l.db.ReadNow(context.Background(), func(tx *store.Tx) error {
		lanes, err := lanesOf(tx, "audit_entry")
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, lane := range lanes {
			l.dirty[lane] = true
		}
		sealed, err := lanesOf(tx, "audit_seal")
		if err != nil {
			return err
		}
		for _, lane := range sealed {
			var t tail
			if err := tx.QueryRow(`SELECT batch, last_seq FROM audit_seal WHERE lane = ? ORDER BY batch DESC LIMIT 1`, int64(lane)).Scan(&t.batch, &t.last); err != nil {
				return err
			}
			l.tails[lane] = t
		}
		return nil
	})
}

// lanesOf lists the lanes that have rows in one of audit's tables, one index step per lane.
func lanesOf(tx *store.Tx, table string) ([]store.Lane, error) {
	var lanes []store.Lane
	for from := int64(0); ; {
		var lane int64
		err := tx.QueryRow(`SELECT lane FROM `+table+` WHERE lane >= ? ORDER BY lane LIMIT 1`, from).Scan(&lane)
		if fault.Is(err, fault.NotFound) {
			return lanes, nil
		}
		if err != nil {
			return nil, err
		}
		lanes = append(lanes, store.Lane(lane))
		from = lane + 1
	}
}

// opened is the Tessera log while this process seals.
type opened struct {
	appender *tessera.Appender
	reader   tessera.LogReader
	awaiter  *tessera.PublicationAwaiter
	stop     func() error
}
