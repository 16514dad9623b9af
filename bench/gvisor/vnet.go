package main

import (
	"encoding/binary"
	"log"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/bufferv2"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	vnetHeader = 10 // bytes of struct virtio_net_hdr
	frameMax   = 65600

	needsCsum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	gsoTCPv4  = 1 // VIRTIO_NET_HDR_GSO_TCPV4

	offloads = 1 | 2 // TUN_F_CSUM | TUN_F_TSO4
)

// vnetEndpoint is what gVisor lacks: a TAP device with virtio-net headers. It reads and writes
// segments of up to 64 KiB, and leaves checksums to the device, with the stack's own support for a
// host that segments.
type vnetEndpoint struct {
	fd         int
	mtu        uint32
	dispatcher stack.NetworkDispatcher
	readers    sync.WaitGroup
}

func (e *vnetEndpoint) MTU() uint32                             { return e.mtu }
func (e *vnetEndpoint) MaxHeaderLength() uint16                 { return header.EthernetMinimumSize }
func (e *vnetEndpoint) LinkAddress() tcpip.LinkAddress          { return mac }
func (e *vnetEndpoint) IsAttached() bool                        { return e.dispatcher != nil }
func (e *vnetEndpoint) Wait()                                   { e.readers.Wait() }
func (e *vnetEndpoint) GSOMaxSize() uint32                      { return 65535 - header.IPv4MaximumHeaderSize }
func (e *vnetEndpoint) SupportedGSO() stack.SupportedGSO        { return stack.HostGSOSupported }
func (e *vnetEndpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

func (e *vnetEndpoint) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
}

func (e *vnetEndpoint) Attach(dispatcher stack.NetworkDispatcher) {
	e.dispatcher = dispatcher
	if dispatcher != nil {
		e.readers.Add(1)
		go e.read()
	}
}

func (e *vnetEndpoint) read() {
	defer e.readers.Done()
	buffer := make([]byte, frameMax)
	for {
		n, err := unix.Read(e.fd, buffer)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			log.Fatalf("read: %v", err)
		}
		if n <= vnetHeader+header.EthernetMinimumSize {
			continue
		}
		e.deliver(buffer[vnetHeader:n])
	}
}

func (e *vnetEndpoint) deliver(frame []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: bufferv2.MakeWithData(frame)})
	defer pkt.DecRef()
	if eth, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize); ok {
		e.dispatcher.DeliverNetworkPacket(header.Ethernet(eth).Type(), pkt)
	}
}

func (e *vnetEndpoint) AddHeader(pkt stack.PacketBufferPtr) {
	eth := header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize))
	eth.Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// vnetOf describes what the device shall do for a packet.
func vnetOf(pkt stack.PacketBufferPtr) []byte {
	h := make([]byte, vnetHeader)
	gso := &pkt.GSOOptions
	if gso.Type == stack.GSONone {
		return h
	}
	if gso.NeedsCsum {
		h[0] = needsCsum
		binary.LittleEndian.PutUint16(h[6:], header.EthernetMinimumSize+gso.L3HdrLen)
		binary.LittleEndian.PutUint16(h[8:], gso.CsumOffset)
	}
	if pkt.Data().Size() > int(gso.MSS) {
		h[1] = gsoTCPv4
		binary.LittleEndian.PutUint16(h[2:], uint16(pkt.HeaderSize()))
		binary.LittleEndian.PutUint16(h[4:], gso.MSS)
	}
	return h
}

func (e *vnetEndpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	written := 0
	for _, pkt := range pkts.AsSlice() {
		if _, err := unix.Writev(e.fd, append([][]byte{vnetOf(pkt)}, pkt.AsSlices()...)); err != nil {
			return written, &tcpip.ErrNoBufferSpace{}
		}
		written++
	}
	return written, nil
}
