package store_test

import (
	"testing"

	"diemcau/signaling/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
