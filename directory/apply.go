package directory

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// applyBatch is how many resources share one commit.
const applyBatch = 500

// Apply writes what a plan says, in commits of a few hundred resources, as by. An organisation and its relationships are in one commit.
// wrote is told how many organisations each commit wrote; nil is fine. Stopped half way, the same file imported again does the rest.
// Errors: what the rules refuse by; fault.Conflict when others changed the same organisations again and again.
func (d *Directory) Apply(ctx context.Context, by access.Principal, p *Plan, source string, wrote func(count int) error) error {
	next, err := d.nextInstance(ctx)
	if err != nil {
		return err
	}
	var batch []*fhir.Resource
	commit := make(chan error, 1)
	commit <- nil
	organisations := 0
	flush := func() error {
		list, count := batch, organisations
		batch, organisations = nil, 0
		drafts, err := d.prepare(ctx, list)
		if waited := <-commit; err == nil {
			err = waited
		}
		if err != nil {
			commit <- nil
			return err
		}
		go func() {
			err := d.commit(ctx, by, list, drafts)
			if err == nil && wrote != nil {
				err = wrote(count)
			}
			commit <- err
		}()
		return nil
	}
	for _, c := range p.Changes {
		list, err := c.resources(source, &next)
		if err != nil {
			return errors.Join(err, <-commit)
		}
		if len(batch)+len(list) > applyBatch {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, organisations = append(batch, list...), organisations+1
	}
	if len(batch) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	return <-commit
}

// resources are what a change writes.
func (c *Change) resources(source string, next *int64) ([]*fhir.Resource, error) {
	if c.made != nil {
		return sourced(c.made, source)
	}
	var list []*fhir.Resource
	if c.write {
		for i := range c.next.Roles {
			if c.next.Roles[i].Instance == 0 {
				c.next.Roles[i].Instance = *next
				*next++
			}
		}
		res, err := c.next.resource(source)
		if err != nil {
			return nil, err
		}
		list = append(list, res)
		if c.next.Site {
			place, err := c.next.location(c.parent())
			if err != nil {
				return nil, err
			}
			list = append(list, place)
		}
	}
	for _, r := range c.relations {
		res, err := r.resource(source)
		if err != nil {
			return nil, err
		}
		list = append(list, res)
	}
	return list, nil
}

// sourced are resources that say what they came from.
func sourced(list []*fhir.Resource, source string) ([]*fhir.Resource, error) {
	if source == "" {
		return list, nil
	}
	all := slices.Clone(list)
	for i, res := range list {
		meta := fhir.Obj("source", source)
		if profile := res.Get("meta.profile"); profile.Exists() {
			meta = fhir.Obj("source", source, "profile", fhir.Of(profile))
		}
		e := res.Edit()
		e.Set(res.Root(), "meta", meta)
		var err error
		if all[i], err = e.Done(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// parent is who operates the organisation now, as far as the change says.
func (c *Change) parent() string {
	for _, r := range c.relations {
		if r.Type == "RE6" && r.Active {
			return r.To.String()
		}
	}
	return ""
}

// location is a site as the place that it is.
func (o Organisation) location(operator string) (*fhir.Resource, error) {
	status := "inactive"
	if o.Active() {
		status = "active"
	}
	var telecom fhir.Value
	if o.Phone != "" {
		telecom = fhir.Arr(fhir.Obj("system", "phone", "value", o.Phone))
	}
	var by fhir.Value
	if operator != "" {
		by = fhir.Obj("reference", "Organization/"+operator, "identifier", fhir.Obj("system", ident.SystemODSCode, "value", operator))
	}
	return fhir.Obj("resourceType", "Location", "id", o.Code.String(),
		"identifier", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/Id/ods-site-code", "value", o.Code.String())),
		"status", status, "name", o.Name, "mode", "instance", "telecom", telecom, "address", o.addressValue(), "managingOrganization", by).Resource()
}

// nextInstance is the first number that no role of an organisation has.
func (d *Directory) nextInstance(ctx context.Context) (next int64, err error) {
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT coalesce(max(instance), 0) + 1 FROM directory_role`).Scan(&next)
	})
	return max(next, firstInstance), err
}

// firstInstance is above the numbers that the published register gives, so that facts loaded later do not meet ours.
const firstInstance = 1_000_000_000

// prepare readies resources on every processor.
func (d *Directory) prepare(ctx context.Context, list []*fhir.Resource) ([]*record.Draft, error) {
	drafts := make([]*record.Draft, len(list))
	group, ctx := errgroup.WithContext(ctx)
	const parts = 4
	for part := range parts {
		group.Go(func() error {
			for i := part * len(list) / parts; i < (part+1)*len(list)/parts; i++ {
				draft, err := d.k.Records.Prepare(ctx, d.put(list[i], ""))
				if err != nil {
					return err
				}
				drafts[i] = draft
			}
			return nil
		})
	}
	return drafts, group.Wait()
}

// commit writes a batch, all of it or none; what moved since it was prepared is prepared again.
func (d *Directory) commit(ctx context.Context, by access.Principal, list []*fhir.Resource, drafts []*record.Draft) error {
	return record.Retry(3, func() error {
		if drafts == nil {
			var err error
			if drafts, err = d.prepare(ctx, list); err != nil {
				return err
			}
		}
		err := d.write(ctx, by, drafts)
		drafts = nil
		return err
	})
}

func (d *Directory) write(ctx context.Context, by access.Principal, drafts []*record.Draft) error {
	var acts []access.Act
	for _, draft := range drafts {
		acts = append(acts, draft.Acts()...)
	}
	grants, err := d.k.Gate.DecideAll(ctx, by, acts)
	if err != nil {
		return err
	}
	return d.k.Gate.Act(ctx, grants, record.LanesOf(drafts...), func(tx *store.Tx) error {
		_, _, err := d.k.Records.ApplyAll(tx, drafts, grants...)
		return err
	})
}

// SourceOf is the meta.source of what an import of a file wrote: the first bytes of its hash.
func SourceOf(sum []byte) string {
	text := "#"
	for _, b := range sum[:min(8, len(sum))] {
		text += strconv.FormatInt(int64(b>>4), 16) + strconv.FormatInt(int64(b&15), 16)
	}
	return text
}
