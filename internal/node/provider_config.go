package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/signin/provider"
)

// providerFields are the keys of one provider in a configuration file, and what each sets.
func providerFields(s *provider.Settings) map[string]*string {
	return map[string]*string{"id": &s.ID, "title": &s.Title, "realm": &s.Realm, "issuer": &s.Issuer, "client-id": &s.Client, "secret-file": &s.SecretFile, "key-file": &s.KeyFile,
		"key-id": &s.KeyID, "acr": &s.ACR, "vtr": &s.VTR, "least": &s.Least, "least-proofing": &s.LeastProofing, "identifier": &s.Identifier}
}

// ProviderSettings are the keys that a provider may have in a configuration file.
func ProviderSettings() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(providerFields(new(provider.Settings)))), "scopes")))
}

// readProviders reads what stands below providers. A key that it does not know is refused by name; what the values must be, the sign-in says
// when it opens.
func readProviders(path string, raw any) ([]provider.Settings, error) {
	if raw == nil {
		return nil, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, fault.New(fault.Invalid, "%s: providers must be a list", path)
	}
	all := make([]provider.Settings, len(list))
	for i, item := range list {
		entry, ok := item.(map[string]any)
		if !ok {
			return nil, fault.New(fault.Invalid, "%s: providers[%d] must be settings, one under another", path, i)
		}
		fields := providerFields(&all[i])
		for _, key := range slices.Sorted(maps.Keys(entry)) {
			if key == "scopes" {
				all[i].Scopes = words(entry[key])
				continue
			}
			at, known := fields[key]
			if !known {
				return nil, fault.New(fault.Invalid, "%s: providers[%d]: unknown setting %s; there are: %s", path, i, key, strings.Join(ProviderSettings(), ", "))
			}
			*at = fmt.Sprint(entry[key])
		}
	}
	return all, nil
}

// words are a list's items, or the words of a text.
func words(v any) []string {
	list, ok := v.([]any)
	if !ok {
		return strings.Fields(fmt.Sprint(v))
	}
	var all []string
	for _, item := range list {
		all = append(all, fmt.Sprint(item))
	}
	return all
}
