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
	var err error
	n.mail, err = mesh.New(n.kernel, o)
	return err
}

// Mail is the node's post office for programs that speak MESH.
func (n *Node) Mail() *mesh.Office { return n.mail }
