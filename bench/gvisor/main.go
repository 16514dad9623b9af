// The services of ../services.h on gVisor's netstack, on a TAP: through the fdbased endpoint, which
// is the fastest that it has for one and knows no virtio-net header there; with -vnet through an
// endpoint of ours that does (vnet.go).
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	echo    = 7
	discard = 9
	count   = 10
	source  = 19
	answer  = 20

	nic       = 1
	mac       = tcpip.LinkAddress("\x02\x00\x00\x00\x09\x02")
	ringWords = 65521
	chunk     = 128 * 1024
	bufferMax = 8 << 20
)

var ring = makeRing()

func makeRing() []byte {
	r := make([]byte, 4*ringWords)
	for i := uint32(0); i < ringWords; i++ {
		binary.BigEndian.PutUint32(r[4*i:], i)
	}
	return r
}

func must(what string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func mustTCPIP(what string, err tcpip.Error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func ioctl(fd int, request, argument uintptr) {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, argument); errno != 0 {
		log.Fatalf("ioctl %#x: %v", request, errno)
	}
}

// openTAP attaches to the TAP device of that name, which is made if it isn't there.
func openTAP(name string, vnet bool) int {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
	must("/dev/net/tun", err)
	var request [40]byte
	copy(request[:15], name)
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if vnet {
		flags |= unix.IFF_VNET_HDR
	}
	binary.LittleEndian.PutUint16(request[16:], flags)
	ioctl(fd, unix.TUNSETIFF, uintptr(unsafe.Pointer(&request)))
	if vnet {
		ioctl(fd, unix.TUNSETOFFLOAD, offloads)
	}
	return fd
}

// newStack has SACK, CUBIC, and buffers as large as the kernel's may become.
func newStack(endpoint stack.LinkEndpoint, address string) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	cc := tcpip.CongestionControlOption("cubic")
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: bufferMax}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: bufferMax}
	mustTCPIP("sack", s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	mustTCPIP("cubic", s.SetTransportProtocolOption(tcp.ProtocolNumber, &cc))
	mustTCPIP("moderation", s.SetTransportProtocolOption(tcp.ProtocolNumber, &moderate))
	mustTCPIP("send buffer", s.SetTransportProtocolOption(tcp.ProtocolNumber, &send))
	mustTCPIP("receive buffer", s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive))

	mustTCPIP("interface", s.CreateNIC(nic, endpoint))
	mustTCPIP("address", s.AddProtocolAddress(nic, tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.Address(net.ParseIP(address).To4()), PrefixLen: 16},
	}, stack.AddressProperties{}))
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return s
}

func newEndpoint(device string, mtu uint32, vnet bool) stack.LinkEndpoint {
	fd := openTAP(device, vnet)
	if vnet {
		return &vnetEndpoint{fd: fd, mtu: mtu}
	}
	endpoint, err := fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: mtu, EthernetHeader: true, Address: mac})
	must("endpoint", err)
	return endpoint
}

func sendRing(c net.Conn) error {
	for at := 0; ; {
		end := at + chunk
		if end > len(ring) {
			end = len(ring)
		}
		n, err := c.Write(ring[at:end])
		if err != nil {
			return err
		}
		at = (at + n) % len(ring)
	}
}

func answerAll(c net.Conn) error {
	var number [4]byte
	for {
		if _, err := io.ReadFull(c, number[:]); err != nil {
			return err
		}
		for left := int(binary.BigEndian.Uint32(number[:])); left > 0; {
			n := left
			if n > len(ring) {
				n = len(ring)
			}
			if _, err := c.Write(ring[:n]); err != nil {
				return err
			}
			left -= n
		}
	}
}

func forward(c net.Conn, size int, back bool) {
	buffer := make([]byte, size)
	for {
		n, err := c.Read(buffer)
		if err == nil && back {
			_, err = c.Write(buffer[:n])
		}
		if err != nil {
			return
		}
	}
}

func serveStream(c net.Conn, service uint16) {
	defer c.Close()
	switch service {
	case echo:
		forward(c, 4096, true)
	case discard:
		forward(c, chunk, false)
	case source:
		go func() {
			forward(c, 64, false)
			c.Close()
		}()
		sendRing(c)
	case answer:
		answerAll(c)
	}
}

func listen(s *stack.Stack, address tcpip.FullAddress) {
	listener, err := gonet.ListenTCP(s, address, ipv4.ProtocolNumber)
	must("listen", err)
	go func() {
		for {
			c, err := listener.Accept()
			must("accept", err)
			go serveStream(c, address.Port)
		}
	}()
}

var countedPkts, countedBytes uint64

func onDatagram(c *gonet.UDPConn, service uint16, data []byte, from net.Addr) {
	switch service {
	case echo:
		c.WriteTo(data, from)
	case discard:
		atomic.AddUint64(&countedPkts, 1)
		atomic.AddUint64(&countedBytes, uint64(len(data)))
	case count:
		var counts [16]byte
		binary.BigEndian.PutUint64(counts[:], atomic.SwapUint64(&countedPkts, 0))
		binary.BigEndian.PutUint64(counts[8:], atomic.SwapUint64(&countedBytes, 0))
		c.WriteTo(counts[:], from)
	case source:
		if len(data) != 8 {
			return
		}
		size := binary.BigEndian.Uint32(data)
		for n := binary.BigEndian.Uint32(data[4:]); n > 0; n-- {
			c.WriteTo(ring[:size], from)
		}
	}
}

func serveDatagrams(s *stack.Stack, address tcpip.FullAddress) {
	c, err := gonet.DialUDP(s, &address, nil, ipv4.ProtocolNumber)
	must("datagrams", err)
	go func() {
		buffer := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(buffer)
			must("datagram", err)
			onDatagram(c, address.Port, buffer[:n], from)
		}
	}()
}

func main() {
	device := flag.String("device", "bench0", "")
	address := flag.String("address", "10.9.0.2", "")
	mtu := flag.Uint("mtu", 1500, "")
	vnet := flag.Bool("vnet", false, "")
	flag.Parse()
	s := newStack(newEndpoint(*device, uint32(*mtu), *vnet), *address)
	at := tcpip.FullAddress{NIC: nic, Addr: tcpip.Address(net.ParseIP(*address).To4())}
	for _, port := range []uint16{echo, discard, source, answer} {
		at.Port = port
		listen(s, at)
	}
	for _, port := range []uint16{echo, discard, count, source} {
		at.Port = port
		serveDatagrams(s, at)
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
}
