// A client that closes first, and its server, in one static program: each of its 100 connections leaves a TIME_WAIT.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func answer(c net.Conn) {
	c.Write([]byte("x"))
	io.Copy(io.Discard, c)
	c.Close()
}

func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go answer(c)
	}
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go serve(l)
	for i := 0; i < 100; i++ {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		io.ReadFull(c, make([]byte, 1))
		c.Close()
	}
	fmt.Println("100 connections")
}
