package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/web"
)

// firstID is the sign-in name of whoever opens the first link.
const firstID = "administrator"

// firstFor is how long the first link can be used.
const firstFor = time.Hour

// first is the link that makes the first administrator; the zero value opens nothing.
type first struct {
	code  string
	until time.Time
}

// FirstLink is a link that makes whoever opens it the administrator, once, within an hour; "" when there is one already.
func (d *Door) FirstLink(ctx context.Context) (string, error) {
	_, err := d.k.Gate.UserByID(ctx, firstID)
	if err == nil || d.demo {
		return "", nil
	}
	if !fault.Is(err, fault.NotFound) {
		return "", err
	}
	code := make([]byte, 24)
	if _, err := rand.Read(code); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first = first{base64.RawURLEncoding.EncodeToString(code), d.k.Clock.Now().Add(firstFor)}
	return d.k.BaseURL() + "/sign-in/first?code=" + d.first.code, nil
}

// opens reports whether code is that of the link, and ends the link when use says so.
func (d *Door) opens(code string, use bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first.code == "" || subtle.ConstantTimeCompare([]byte(code), []byte(d.first.code)) != 1 || d.k.Clock.Now().After(d.first.until) {
		return fault.New(fault.NotFound, "This link has been used or is too old. Start the node again for another, while it has no administrator.")
	}
	if use {
		d.first = first{}
	}
	return nil
}

func (d *Door) showFirst(w http.ResponseWriter, r *http.Request) error {
	code := r.URL.Query().Get("code")
	if err := d.opens(code, false); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, firstPage(code))
}

func (d *Door) enterFirst(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read.")
	}
	name := strings.TrimSpace(r.PostForm.Get("name"))
	if name == "" || len(name) > 200 {
		return fault.New(fault.Invalid, "Give the name by which the account will know you, in at most 200 letters.")
	}
	if err := d.opens(r.PostForm.Get("code"), true); err != nil {
		return err
	}
	user := access.User{Principal: access.Principal{ID: firstID, Name: name, Role: access.Administrator, Organisation: d.k.National}}
	if err := d.k.Gate.PutUser(r.Context(), user); err != nil {
		return err
	}
	s, err := d.k.Gate.SignIn(r.Context(), firstID, "one-time link", access.SecretOf(r))
	if err != nil {
		return err
	}
	http.SetCookie(w, s.Cookie(access.Secure(r)))
	return web.SeeOther(w, r, "/")
}
