package bookings

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// apartly is the system that keeps its slots to itself (decision 0028).
func (s *story) apartly(args []string) (string, error) {
	a := s.world.apart
	switch args[0] {
	case "away", "loses":
		n, err := strconv.Atoi(args[1])
		if args[0] == "away" {
			a.away = n
		} else {
			a.loses = n
		}
		return "", err
	case "takes":
		a.taken[args[1]] = "own"
		return "", nil
	case "has":
		u, at := s.people[args[1]].ubrn.String(), "nothing"
		for _, slot := range sorted(a.taken) {
			if a.taken[slot] == u {
				at = slot
			}
		}
		ids := slices.Compact(slices.Sorted(slices.Values(a.put[u])))
		return fmt.Sprintf("%s, asked %d times by %d ids", at, len(a.put[u]), len(ids)), nil
	}
	return "", fmt.Errorf("the system cannot %s", args[0])
}

// attachFile adds a file to those of a referral.
func (s *story) attachFile(args []string) (string, error) {
	n, m := s.nodes[0], s.people[args[0]]
	c := n.caller(s.world.gp())
	holds := []byte(args[2])
	if args[2] == "PROGRAM" {
		holds = []byte("MZ\x90\x00\x03\x00\x00\x00")
	}
	f, err := n.refer.Upload(s.Ctx, c, referral.Upload{Name: args[1], For: m.ubrn}, bytes.NewReader(holds))
	if err != nil {
		return "", err
	}
	s.world.files[f.ID] = holds
	_, err = n.refer.Act(s.Ctx, c, m.ubrn, referral.Work{Kind: referral.ActLetter, Files: []referral.FileRef{{ID: f.ID}}})
	return "", err
}

// listFiles says what a node has of somebody's files.
func (s *story) listFiles(args []string) (string, error) {
	u := s.people[args[1]].ubrn.String()
	var list []booking.Attachment
	if args[0] == "spine" {
		for _, a := range s.nodes[0].look().referrals[u].Attachments {
			list = append(list, booking.Attachment{Name: a.Name, Size: a.Size, Hash: a.Hash})
		}
	} else {
		list = s.at(args[0]).look().cases[u].Attachments
	}
	n := s.at(args[0])
	var words []string
	var hashes [][]byte
	for _, a := range list {
		f, err := a.File()
		if err != nil {
			return "", err
		}
		body, err := n.Post.Open(s.Ctx, f)
		if err != nil {
			return "", fmt.Errorf("%s: %w", a.Name, err)
		}
		got, err := io.ReadAll(body)
		if err != nil {
			return "", err
		}
		words, hashes = append(words, fmt.Sprintf("%s: %s", a.Name, got)), append(hashes, f.Hash[:])
	}
	slices.Sort(words)
	var stored int64
	err := n.DB.Read(s.Ctx, func(tx *store.Tx) error {
		stored = 0
		seen := map[string]bool{}
		for _, h := range hashes {
			if seen[string(h)] {
				continue
			}
			seen[string(h)] = true
			var of int64
			if err := tx.QueryRow(`SELECT count(*) FROM post_file WHERE hash = ?`, h).Scan(&of); err != nil {
				return err
			}
			stored += of
		}
		return nil
	})
	return fmt.Sprintf("%s; %d stored", strings.Join(words, ", "), stored), err
}
