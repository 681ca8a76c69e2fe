package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// memberPath is one string member of a request, however deep.
type memberPath []protoreflect.FieldDescriptor

func (m memberPath) String() string {
	names := make([]string, len(m))
	for i, fd := range m {
		names[i] = string(fd.Name())
	}
	return strings.Join(names, ".")
}

// ofFields reports whether the member is one of the six fields.
func (m memberPath) ofFields() bool {
	return m[len(m)-1].ContainingMessage().FullName() == (&heyanv1.Fields{}).ProtoReflect().Descriptor().FullName()
}

// membersOf lists the string members of a message, those of nested messages too.
func membersOf(md protoreflect.MessageDescriptor, above memberPath) (list []memberPath) {
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		path := append(slices.Clone(above), fd)
		switch {
		case fd.IsMap():
			panic("canary: maps are not walked: " + string(fd.FullName()))
		case fd.Kind() == protoreflect.StringKind:
			list = append(list, path)
		case fd.Message() != nil && !slices.ContainsFunc(above, func(seen protoreflect.FieldDescriptor) bool { return seen.Message() == fd.Message() }):
			list = append(list, membersOf(fd.Message(), path)...)
		}
	}
	return list
}

// put sets a member, if everything above it is there.
func (m memberPath) put(in protoreflect.Message, value string) bool {
	fd := m[0]
	if len(m) == 1 {
		if fd.IsList() {
			list := in.Mutable(fd).List()
			list.Truncate(0)
			list.Append(protoreflect.ValueOfString(value))
		} else {
			in.Set(fd, protoreflect.ValueOfString(value))
		}
		return true
	}
	switch {
	case fd.IsList():
		list := in.Mutable(fd).List()
		return list.Len() > 0 && m[1:].put(list.Get(list.Len()-1).Message(), value)
	case !in.Has(fd):
		return false
	}
	return m[1:].put(in.Mutable(fd).Message(), value)
}

// putIn sets a member in the first message of a request that can hold it.
func (m memberPath) putIn(r request, value string) bool {
	return slices.ContainsFunc(r, func(message proto.Message) bool { return m.put(message.ProtoReflect(), value) })
}

// isSet reports whether a request sets the member.
func (m memberPath) isSet(r request) bool {
	return slices.ContainsFunc(r, func(message proto.Message) bool {
		in := message.ProtoReflect()
		for i, fd := range m {
			if !in.Has(fd) {
				return false
			}
			if i == len(m)-1 {
				return true
			}
			if fd.IsList() {
				list := in.Get(fd).List()
				in = list.Get(list.Len() - 1).Message()
			} else {
				in = in.Get(fd).Message()
			}
		}
		return false
	})
}

// method is one RPC.
type method struct {
	name string // "Service/Method"
	full string
	desc protoreflect.MethodDescriptor
}

// methodsOfAPI lists every RPC of every service of the API.
func methodsOfAPI() (list []method) {
	protoregistry.GlobalFiles.RangeFilesByPackage("heyan.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				desc := service.Methods().Get(j)
				name := string(service.Name()) + "/" + string(desc.Name())
				list = append(list, method{name, "/heyan.v1." + name, desc})
			}
		}
		return true
	})
	slices.SortFunc(list, func(a, b method) int { return strings.Compare(a.name, b.name) })
	return list
}

// call sends a request and returns everything that came back.
func (m method) call(ctx context.Context, conn grpc.ClientConnInterface, r request) (replies []proto.Message, told metadata.MD, err error) {
	reply := func() proto.Message {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(m.desc.Output().FullName())
		if err != nil {
			panic(err)
		}
		return kind.New().Interface()
	}
	var header, trailer metadata.MD
	if !m.desc.IsStreamingClient() && !m.desc.IsStreamingServer() {
		answer := reply()
		if err = conn.Invoke(ctx, m.full, r[0], answer, grpc.Header(&header), grpc.Trailer(&trailer)); err == nil {
			replies = append(replies, answer)
		}
		return replies, metadata.Join(header, trailer), err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, m.full)
	if err != nil {
		return nil, nil, err
	}
	for _, message := range r {
		if err := stream.SendMsg(message); err != nil {
			break // why, RecvMsg says
		}
	}
	_ = stream.CloseSend()
	for {
		answer := reply()
		if err := stream.RecvMsg(answer); err != nil {
			header, _ = stream.Header()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return replies, metadata.Join(header, stream.Trailer()), err
		}
		replies = append(replies, answer)
	}
}
