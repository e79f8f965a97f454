package sim

import "github.com/openspine/openspine/ident"

// Where the extensions and code systems of UK Core lie.
const (
	ukExtension  = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
	ukCodes      = "https://fhir.hl7.org.uk/CodeSystem/UKCore-"
	pdsExtension = "https://fhir.nhs.uk/StructureDefinition/Extension-PDS-"
	pdsCodes     = "https://fhir.nhs.uk/CodeSystem/PDS-"
	codesVersion = "1.0.0"
	sensitivity  = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
)

// Patient is the person's record in the national tenant, as the Personal Demographics Service publishes it: a UK Core
// Patient whose id is the NHS number.
func (k *Country) Patient(p *Person) []byte {
	w := writer{b: make([]byte, 0, 2048)}
	k.patient(&w, p)
	return w.b
}

func (k *Country) patient(w *writer, p *Person) {
	w.item(func() {
		w.text("resourceType", "Patient")
		w.text("id", p.NHSNumber.String())
		w.confidentiality(p.Restricted)
		w.array("identifier", func() { w.nhsNumber(p.NHSNumber) })
		p.extensions(w)
		ids := idSource(p.draw)
		p.names(w, &ids)
		p.telecoms(w, &ids)
		p.body(w, &ids)
		k.contact(w, p, &ids)
		p.practice(w, &ids)
	})
}

// localPatient is the copy of a hospital or practice: its own id and number, and what it needs of the rest.
func (k *Country) localPatient(w *writer, p *Person, tenant ident.ODSCode, id string) {
	w.item(func() {
		w.text("resourceType", "Patient")
		w.text("id", id)
		w.confidentiality(p.Restricted)
		w.array("identifier", func() {
			w.nhsNumber(p.NHSNumber)
			w.item(func() {
				w.text("use", "usual")
				w.text("system", LocalNumberSystem(tenant))
				w.text("value", id)
			})
		})
		if p.Died == 0 {
			w.raw("active", "true")
		}
		ids := idSource(p.draw)
		p.names(w, &ids)
		p.telecoms(w, &ids)
		p.body(w, &ids)
		k.contact(w, p, &ids)
		if tenant == Practice {
			w.references("generalPractitioner", "Organization", Practice.String(), "Larch Street Surgery")
		} else {
			p.practice(w, &ids)
		}
		w.reference("managingOrganization", "Organization", tenant.String(), "")
	})
}

// LocalNumberSystem is the system of the numbers that a tenant gives its patients.
func LocalNumberSystem(tenant ident.ODSCode) string {
	return "https://" + tenant.String() + ".openspine.example/Id/local-patient-number"
}

// idSource makes the short ids that the Personal Demographics Service gives to the parts of a record.
type idSource uint64

// next is the given id, or eight hexadecimal digits.
func (s *idSource) next(given string) string {
	if given != "" {
		return given
	}
	*s = *s*6364136223846793005 + 1442695040888963407
	v := uint64(*s) >> 32
	var b [8]byte
	for i := range b {
		b[i] = "0123456789ABCDEF"[v>>(28-4*i)&15]
	}
	return string(b[:])
}

func (w *writer) confidentiality(restricted bool) {
	w.object("meta", func() {
		w.array("security", func() {
			if restricted {
				w.coding(sensitivity, "", "R", "restricted")
			} else {
				w.coding(sensitivity, "", "U", "unrestricted")
			}
		})
	})
}

func (w *writer) nhsNumber(n ident.NHSNumber) {
	w.item(func() {
		w.array("extension", func() {
			w.extension(ukExtension+"NHSNumberVerificationStatus", func() {
				w.versioned("valueCodeableConcept", "NHSNumberVerificationStatus", "01", "Number present and verified")
			})
		})
		w.text("system", ident.SystemNHSNumber)
		w.text("value", n.String())
	})
}

func (w *writer) extension(url string, inside func()) {
	w.item(func() {
		w.text("url", url)
		inside()
	})
}

// versioned writes a CodeableConcept from one of UK Core's code systems, with the version that the examples carry.
func (w *writer) versioned(name, system, code, display string) {
	w.object(name, func() { w.array("coding", func() { w.coding(ukCodes+system, codesVersion, code, display) }) })
}

// period writes when something was so; nothing where neither end is known.
func (w *writer) period(from, to Day) {
	if from != 0 || to != 0 {
		w.object("period", func() {
			w.day("start", from)
			w.day("end", to)
		})
	}
}

func (p *Person) names(w *writer, ids *idSource) {
	if len(p.Names) == 0 {
		return
	}
	w.array("name", func() {
		for _, n := range p.Names {
			w.item(func() {
				w.text("id", ids.next(n.ID))
				w.text("use", n.Use)
				w.period(n.From, n.To)
				w.texts("given", n.Given)
				w.text("family", n.Family)
				if n.Prefix != "" {
					w.texts("prefix", []string{n.Prefix})
				}
				w.texts("suffix", n.Suffix)
			})
		}
	})
}

func (p *Person) telecoms(w *writer, ids *idSource) {
	if len(p.Telecoms) == 0 {
		return
	}
	w.array("telecom", func() {
		for _, t := range p.Telecoms {
			w.item(func() {
				w.text("id", ids.next(t.ID))
				if t.Other != "" {
					w.array("extension", func() {
						w.extension(ukExtension+"OtherContactSystem", func() {
							w.object("valueCoding", func() { w.codingInside(ukCodes+"OtherContactSystem", "", t.Other, t.Meaning) })
						})
					})
				}
				w.period(t.From, t.To)
				w.text("system", t.System)
				w.text("value", t.Value)
				w.text("use", t.Use)
			})
		}
	})
}

// body is gender, birth, death and addresses.
func (p *Person) body(w *writer, ids *idSource) {
	w.text("gender", p.Gender)
	w.day("birthDate", p.Born)
	if p.Died != 0 {
		w.instant("deceasedDateTime", p.Died, 0)
	}
	if len(p.Addresses) > 0 {
		w.array("address", func() {
			for _, a := range p.Addresses {
				w.item(func() { a.write(w, ids) })
			}
		})
	}
	if p.Twin != 0 {
		w.raw("multipleBirthInteger", string([]byte{byte('0' + p.Twin)}))
	}
}

func (a Address) write(w *writer, ids *idSource) {
	w.text("id", ids.next(a.ID))
	if a.PAF != "" || a.UPRN != "" {
		w.array("extension", func() {
			w.addressKey("PAF", a.PAF)
			w.addressKey("UPRN", a.UPRN)
		})
	}
	w.period(a.From, a.To)
	w.text("use", a.Use)
	w.text("text", a.Text)
	w.texts("line", a.Lines)
	w.text("postalCode", a.Postcode)
}

func (w *writer) addressKey(kind, value string) {
	if value == "" {
		return
	}
	w.item(func() {
		w.array("extension", func() {
			w.extension("type", func() {
				w.object("valueCoding", func() { w.codingInside(ukCodes+"AddressKeyType", "", kind, "") })
			})
			w.extension("value", func() { w.text("valueString", value) })
		})
		w.text("url", ukExtension+"AddressKey")
	})
}

// practice is the registration. A death or a move away ends it; the restricted have it, and the service withholds it.
func (p *Person) practice(w *writer, ids *idSource) {
	if p.Practice.IsZero() {
		return
	}
	id, to := "", p.Died
	if p.publics != nil {
		id, to = p.publics.Practice.ID, dayIn(p.publics.Practice.To)
	}
	w.array("generalPractitioner", func() {
		w.item(func() {
			w.text("id", ids.next(id))
			w.text("type", "Organization")
			w.organisation(p.Practice.String(), p.Since, to)
		})
	})
}

// organisation is the identifier of a reference to an organisation by its code, with the period of the relation.
func (w *writer) organisation(code string, from, to Day) {
	w.object("identifier", func() {
		w.text("system", ident.SystemODSCode)
		w.text("value", code)
		w.period(from, to)
	})
}

// extensions are the nominated pharmacy, a death notice and the language, then what a published example adds.
func (p *Person) extensions(w *writer) {
	var more *publishedMore
	if p.publics != nil {
		more = p.publics.More
	}
	if p.Pharmacy.IsZero() && p.Died == 0 && p.Language == "" && more == nil {
		return
	}
	w.array("extension", func() {
		w.nomination("NominatedPharmacy", p.Pharmacy.String())
		if more != nil {
			more.suppliers(w)
		}
		if p.Died != 0 {
			w.deathNotice(p.Died)
		}
		if p.Language != "" {
			w.language(p.Language, languages[p.Language], false)
		}
		if more != nil {
			more.preferences(w)
		}
	})
}

var languages = map[string]string{
	"cy": "Welsh", "ur": "Urdu", "bn": "Bengali", "pa": "Punjabi", "gu": "Gujarati", "pl": "Polish", "ro": "Romanian",
	"zh": "Chinese", "pt": "Portuguese", "ar": "Arabic",
}

func (w *writer) nomination(kind, code string) {
	if code != "" {
		w.extension(ukExtension+kind, func() {
			w.object("valueReference", func() {
				w.object("identifier", func() {
					w.text("system", ident.SystemODSCode)
					w.text("value", code)
				})
			})
		})
	}
}

func (w *writer) deathNotice(died Day) {
	w.extension(ukExtension+"DeathNotificationStatus", func() {
		w.array("extension", func() {
			w.extension("deathNotificationStatus", func() {
				w.versioned("valueCodeableConcept", "DeathNotificationStatus", "2", "Formal - death notice received from Registrar of Deaths")
			})
			w.extension("systemEffectiveDate", func() { w.instant("valueDateTime", died, 0) })
		})
	})
}

func (w *writer) language(code, name string, interpreter bool) {
	w.extension(ukExtension+"NHSCommunication", func() {
		w.array("extension", func() {
			w.extension("language", func() { w.versioned("valueCodeableConcept", "HumanLanguage", code, name) })
			w.extension("interpreterRequired", func() {
				if interpreter {
					w.raw("valueBoolean", "true")
				} else {
					w.raw("valueBoolean", "false")
				}
			})
		})
	})
}

// contact is whom to call in an emergency, where that person has a telephone.
func (k *Country) contact(w *writer, p *Person, ids *idSource) {
	if p.publics != nil {
		p.publics.contact(w)
		return
	}
	if p.contactPhone == "" {
		return
	}
	w.array("contact", func() {
		w.item(func() {
			w.text("id", ids.next(""))
			w.concepts("relationship", "http://terminology.hl7.org/CodeSystem/v2-0131", "C", "Emergency Contact")
			w.array("telecom", func() { w.telecom("phone", p.contactPhone, "") })
		})
	})
}
