package node

import (
	"os"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/mesh"
)

// openMail makes the post office for programs that speak MESH.
func (n *Node) openMail() error {
	o := mesh.Options{Data: n.cfg.Data, Plain: n.cfg.Open || n.cfg.Plain}
	if n.cfg.MeshClientCA != "" {
		pem, err := os.ReadFile(n.cfg.MeshClientCA)
		if err == nil {
			o.Certificates, err = mesh.NewCertificates(pem)
		}
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "mesh-client-ca %s cannot be used: %v", n.cfg.MeshClientCA, err)
		}
	}
	switch {
	case n.cfg.MeshClientCRL == "":
	case o.Certificates == nil:
		return fault.New(fault.Invalid, "mesh-client-crl says which certificates are revoked of the authorities in mesh-client-ca: name that too")
	default:
		if err := o.Certificates.Revoked(n.cfg.MeshClientCRL); err != nil {
			return fault.Wrap(err, fault.Invalid, "mesh-client-crl %s cannot be used: %s", n.cfg.MeshClientCRL, fault.MessageOf(err))
		}
	}
	var err error
	n.mail, err = mesh.New(n.kernel, o)
	return err
}

// Mail is the node's post office for programs that speak MESH.
func (n *Node) Mail() *mesh.Office { return n.mail }
