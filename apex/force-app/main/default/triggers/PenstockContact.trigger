trigger PenstockContact on Contact(after insert, after update, after delete, after undelete) {
	PenstockCapture.run();
}
