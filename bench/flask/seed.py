"""Fills the peer through its own models: one JSON object on standard input, {"username", "password", "patients": [...]}."""
import json
import sys

from app import Physician, Record, app, db
from cryptography.fernet import Fernet
from werkzeug.security import generate_password_hash

given = json.load(sys.stdin)
with app.app_context():
    me = Physician(username=given["username"], key=Fernet.generate_key(),
                   password_hash=generate_password_hash(given["password"]))
    me.first_name, me.last_name = me.seal("Ada"), me.seal("Byron")
    db.session.add(me)
    db.session.flush()
    for p in given["patients"]:
        db.session.add(Record(physician_id=me.id, first_name=me.seal(p["firstName"]), last_name=me.seal(p["lastName"]),
                              dob=me.seal(p["birthDate"]), diagnosis=me.seal(p["diagnosis"])))
    db.session.commit()
    print(json.dumps({"records": me.records.count()}))
